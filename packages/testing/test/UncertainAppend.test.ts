/** What writers are told when an fsync fails, from the store to the caller and over a restart. */
import { assert, describe, it } from "@effect/vitest"
import {
  Entry,
  QuorumPolicy,
  QuorumWriter,
  Records,
  Replica,
  ReplicaId,
  ReplicaSet,
  ReplicaStatus,
  WriteId
} from "@quorum/core"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Exit, Layer, Logger, Option, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import { FaultyReplicaStore } from "../src/index.ts"

const one = (n: number) => Result.getOrThrow(QuorumPolicy.one(n))
const memory = (replica: string) => ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make(replica) })

/** Starts a replica on a store that the caller keeps; `stop` ends it. */
const start = Effect.fnUntraced(function* (
  self: string,
  members: ReadonlyArray<string>,
  store: ReplicaStore.ReplicaStore["Service"],
  network: MemoryNetwork.MemoryNetwork["Service"]
) {
  const scope = yield* Scope.make()
  const layer = MemoryNetwork.layerServer.pipe(
    Layer.provideMerge(Replica.layer({ policy: one(members.length) })),
    Layer.provide([MemoryNetwork.layerTransport, RecordIndex.layerMemory]),
    Layer.provide(Layer.succeed(MemoryNetwork.MemoryNetwork, network)),
    Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, store)),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self, members })),
    Layer.provide(Logger.layer([]))
  )
  const context = yield* Layer.buildWithScope(layer, scope)
  const stop = Scope.close(scope, Exit.void)
  yield* Effect.addFinalizer(() => stop)
  return {
    writer: Context.get(context, QuorumWriter.QuorumWriter),
    records: Context.get(context, Records.Records),
    status: Context.get(context, ReplicaStatus.ReplicaStatus),
    stop
  }
})

const network = Effect.map(Layer.build(MemoryNetwork.layer), Context.get(MemoryNetwork.MemoryNetwork))

/** How an effect ended: the tag of its error, or `committed`. */
const ending = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.result(effect), (result) => (Result.isSuccess(result) ? "committed" : result.failure._tag))

const put = (key: string) => Entry.put("notes", key, "v")

describe("an append whose outcome is not known", () => {
  for (const held of [true, false]) {
    it.effect(`L52 has no id, for another write may get its place: the entries are ${held ? "" : "not "}held`, () =>
      Effect.gen(function* () {
        const inner = yield* memory("a")
        const faults = FaultyReplicaStore.faults()
        const net = yield* network
        const a = yield* start("a", ["a"], FaultyReplicaStore.make(inner, faults), net)
        assert.strictEqual(yield* ending(a.writer.commit(put("before"))), "committed")
        faults.inject(FaultyReplicaStore.failedFsync(held))
        const error = yield* Effect.flip(a.writer.commit(put("doubtful")))
        assert.strictEqual(error._tag, "WriteUncertain")
        assert.notProperty(error, "writeId")
        assert.notInclude(error.message, "nothing was written")
        // The writes after it were never tried.
        for (const key of ["x", "y"]) assert.strictEqual(yield* ending(a.writer.commit(put(key))), "LocalWriteFailed")
        assert.strictEqual(faults.count("FailedFsync"), 1)
        const { log } = a.status.current()
        yield* a.stop

        const again = yield* start("a", ["a"], FaultyReplicaStore.make(inner, faults), net)
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
          const [innerA, storeB] = [yield* memory("a"), yield* memory("b")]
          const faults = FaultyReplicaStore.faults()
          const net = yield* network
          const a = yield* start("a", ["a", "b"], FaultyReplicaStore.make(innerA, faults), net)
          const b = yield* start("b", ["a", "b"], storeB, net)
          yield* TestClock.adjust(2000)
          faults.inject(FaultyReplicaStore.failedFsync(held))
          const { writeId } = yield* b.writer.commit(put("pushed"))
          yield* TestClock.adjust(100)
          assert.strictEqual(faults.count("FailedFsync"), 1)
          for (const key of ["x", "y"]) assert.strictEqual(yield* ending(a.writer.commit(put(key))), "LocalWriteFailed")
          assert.strictEqual(a.status.current().storeFault?.reason, "unavailable")
          yield* a.stop

          const again = yield* start("a", ["a", "b"], FaultyReplicaStore.make(innerA, faults), net)
          yield* TestClock.adjust(5000)
          assert.isNull(again.status.current().storeFault)
          const receipt = yield* again.writer.commit(put("after"))
          assert.deepInclude(WriteId.place(receipt.writeId), { log: again.status.current().log, seq: 1 })
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
      const a = yield* start("a", ["a"], FaultyReplicaStore.make(yield* memory("a"), faults), yield* network)
      faults.inject(FaultyReplicaStore.failedAppend("unavailable"))
      assert.strictEqual(yield* ending(a.writer.commit(put("x"))), "LocalWriteFailed")
      assert.strictEqual(yield* ending(a.writer.commit(put("y"))), "committed")
    })
  )
})
