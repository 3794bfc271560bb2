/** What writers are told when an fsync fails, from the store to the caller and over a restart. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, QuorumPolicy, WriteId } from "@quorum/core"
import { Effect, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { FaultyReplicaStore, ReplicaSetRig } from "../src/index.ts"

const one = (n: number) => Result.getOrThrow(QuorumPolicy.one(n))
const rigOf = (...members: ReadonlyArray<string>) => ReplicaSetRig.make(members, one(members.length))

/** How a replica is started whose store has faults. */
const failing = (faults: FaultyReplicaStore.StoreFaults): ReplicaSetRig.StartOptions => ({
  store: (store) => FaultyReplicaStore.make(store, faults)
})

/** How an effect ended: the tag of its error, or `committed`. */
const ending = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.result(effect), (result) => (Result.isSuccess(result) ? "committed" : result.failure._tag))

const put = (key: string) => Entry.put("notes", key, "v")

describe("an append whose outcome is not known", () => {
  for (const held of [true, false]) {
    it.effect(`L52 has no id, for another write may get its place: the entries are ${held ? "" : "not "}held`, () =>
      Effect.gen(function* () {
        const rig = yield* rigOf("a")
        const faults = FaultyReplicaStore.faults()
        const a = yield* rig.start("a", failing(faults))
        assert.strictEqual(yield* ending(a.writer.commit(put("before"))), "committed")
        faults.inject(FaultyReplicaStore.failedFsync(held))
        const error = yield* Effect.flip(a.writer.commit(put("doubtful")))
        assert.strictEqual(error._tag, "WriteUncertain")
        assert.notProperty(error, "writeId")
        assert.notInclude(error.message, "nothing was written")
        // The writes after it were never tried.
        for (const key of ["x", "y"]) assert.strictEqual(yield* ending(a.writer.commit(put(key))), "LocalWriteFailed")
        assert.strictEqual(faults.count("FailedFsync"), 1)
        const { log } = a.status()
        yield* a.stop

        const again = yield* rig.start("a", failing(faults))
        const { writeId } = yield* again.writer.commit(put("after"))
        assert.deepInclude(WriteId.place(writeId), { log, seq: held ? 3 : 2 })
        const found = yield* Effect.forEach(["doubtful", "x", "y", "after"], (key) => again.records.read("notes", key))
        assert.deepStrictEqual(found.map(Option.isSome), [held, false, false, true])
      })
    )

    it.effect(
      `NotWrittenMeansNever: a peer's push in doubt fails no own write in doubt: the push is ${held ? "" : "not "}held`,
      () =>
        Effect.gen(function* () {
          const rig = yield* rigOf("a", "b")
          const faults = FaultyReplicaStore.faults()
          const a = yield* rig.start("a", failing(faults))
          const b = yield* rig.start("b")
          yield* TestClock.adjust(2000)
          faults.inject(FaultyReplicaStore.failedFsync(held))
          const { writeId } = yield* b.writer.commit(put("pushed"))
          yield* TestClock.adjust(100)
          assert.strictEqual(faults.count("FailedFsync"), 1)
          for (const key of ["x", "y"]) assert.strictEqual(yield* ending(a.writer.commit(put(key))), "LocalWriteFailed")
          assert.strictEqual(a.status().storeFault?.reason, "unavailable")
          yield* a.stop

          const again = yield* rig.start("a", failing(faults))
          yield* TestClock.adjust(5000)
          assert.isNull(again.status().storeFault)
          const receipt = yield* again.writer.commit(put("after"))
          assert.deepInclude(WriteId.place(receipt.writeId), { log: again.status().log, seq: 1 })
          yield* TestClock.adjust(5000)
          for (const { records } of [again, b]) {
            const found = yield* Effect.forEach(["pushed", "x", "y", "after"], (key) => records.read("notes", key))
            assert.deepStrictEqual(found.map(Option.isSome), [true, false, false, true])
          }
          assert.isTrue((yield* again.writer.status(writeId)).committed)
        })
    )
  }

  it.effect("a store that becomes `unavailable` by itself fails writes as not written, and works again", () =>
    Effect.gen(function* () {
      const faults = FaultyReplicaStore.faults()
      const rig = yield* rigOf("a")
      const a = yield* rig.start("a", failing(faults))
      faults.inject(FaultyReplicaStore.failedAppend("unavailable"))
      assert.strictEqual(yield* ending(a.writer.commit(put("x"))), "LocalWriteFailed")
      assert.strictEqual(yield* ending(a.writer.commit(put("y"))), "committed")
    })
  )
})
