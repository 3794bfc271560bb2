import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Schema } from "effect"
import { KeyValueStore, Persistable, Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "../src/adapter.ts"
import { Entry, QuorumError, type QuorumWriter, Records, Replica, ReplicaSet } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { follow } from "./readme/changes.ts"
import { program } from "./readme/example.ts"
import { persistence, store } from "./readme/persistence.ts"
import { writeOnce } from "./readme/stamp.ts"
import { during } from "./support/time.ts"

class Asked extends Persistable.Class<{ payload: { readonly id: number } }>()("Asked", {
  primaryKey: ({ id }) => String(id),
  success: Schema.String
}) {}

const alone = Replica.layer().pipe(
  Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory, MemoryNetwork.layerAlone]),
  Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] }))
)

describe("README", () => {
  it.effect("the example commits a write on two of three replicas", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(program)
      yield* TestClock.adjust(1000)
      const receipt = yield* Fiber.join(fiber)
      assert.strictEqual(receipt.policy.w, 2)
      assert.isAtLeast(receipt.acked.length, 2)
    })
  )

  it.effect("the stamped write is one write when the first replica makes it and its answer is lost", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 2)
      const lost = new QuorumError.WriteUncertain({ detail: "the answer was lost" })
      const first = {
        ...a.writer,
        commit: (...args: Parameters<typeof a.writer.commit>) => Effect.andThen(a.writer.commit(...args), lost)
      }
      const { clock } = yield* during(writeOnce(first, b.writer), 2000)
      yield* TestClock.adjust(2000)
      for (const { records } of [a, b]) {
        const record = Option.getOrThrow(yield* records.read("orders", "4711"))
        assert.deepStrictEqual([record.clock, record.writeId], [clock, yield* Cluster.idAt(a.logs, 1)])
      }
    })
  )

  it.effect("who follows the changes goes on where it stopped", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 2)
      let kept = ""
      const place = {
        load: Effect.sync(() => kept),
        save: (position: string) => Effect.sync(() => void (kept = position))
      }
      const seen: Array<string> = []
      const read = ({ records }: Cluster.Running) =>
        Effect.forkChild(follow(records, place, ({ key }) => Effect.sync(() => void seen.push(key))))
      const first = yield* read(a)
      yield* during(a.writer.commit(Entry.put("orders", "1", "")), 2000)
      yield* Fiber.interrupt(first)
      yield* during(b.writer.commit(Entry.put("orders", "2", "")), 2000)
      yield* read(b)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(seen, ["1", "2"])
    })
  )

  it.effect("the namespace of a replica is Effect's store, and keeps what its persistence is given", () =>
    Effect.gen(function* () {
      const kv = yield* KeyValueStore.KeyValueStore
      yield* kv.set("k", "v")
      assert.strictEqual(yield* kv.get("k"), "v")
      const answers = yield* (yield* Persistence.Persistence).make({ storeId: "answers" })
      yield* answers.set(new Asked({ id: 1 }), Exit.succeed("yes"))
      assert.deepStrictEqual(yield* answers.get(new Asked({ id: 1 })), Exit.succeed("yes"))
      const records = yield* Records.Records
      assert.isTrue(Option.isSome(yield* records.read("results", "k")))
    }).pipe(Effect.scoped, Effect.provide(Layer.mergeAll(store, persistence).pipe(Layer.provideMerge(alone))))
  )

  it("says of every outcome of a commit what to do", () => {
    const outcomes: Record<QuorumWriter.CommitError["_tag"], true> = {
      DiskLow: true,
      IdempotencyKeyReused: true,
      IdempotencyUnknown: true,
      InvalidPolicy: true,
      LocalWriteFailed: true,
      NotReady: true,
      Overloaded: true,
      QuorumNotMet: true,
      QuorumUnavailable: true,
      ReplicaClosing: true,
      StampReused: true,
      TooOldToKnow: true,
      WriteCompacted: true,
      WriteRejected: true,
      WriteUncertain: true
    }
    const rows = readFileSync(new URL("../README.md", import.meta.url), "utf8").match(/^\| `.*$/gm) ?? []
    const named = rows.map((row) => row.split("|")[1]).join()
    assert.deepStrictEqual(
      Object.keys(outcomes).filter((tag) => !named.includes(`\`${tag}\``)),
      []
    )
  })
})
