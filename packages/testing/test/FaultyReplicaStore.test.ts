import { assert, describe, it } from "@effect/vitest"
import { Entry, HybridLogicalClock, type LogId, ReplicaId } from "@quorum/core"
import { EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Context, Effect, Fiber, Latch, Layer } from "effect"
import { FaultyReplicaStore } from "../src/index.ts"

const log = "a@00000000000000aa" as LogId.LogId
const batch = EntryBatch.encode(Watermark.none(log), [Entry.put("ns", "k", "v")], HybridLogicalClock.zero, 1).batch
const watermark = EntryBatch.watermark(batch)

const setUp = Effect.gen(function* () {
  const inner = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
  const faults = FaultyReplicaStore.faults()
  const context = yield* Layer.build(
    FaultyReplicaStore.layer(faults).pipe(Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, inner)))
  )
  return { inner, faults, store: Context.get(context, ReplicaStore.ReplicaStore) }
})

describe("FaultyReplicaStore", () => {
  it.effect("without faults it is the store that it decorates", () =>
    Effect.gen(function* () {
      const { inner, store } = yield* setUp
      assert.deepStrictEqual(yield* store.append(batch), watermark)
      assert.deepStrictEqual(yield* store.watermarks, yield* inner.watermarks)
      assert.deepStrictEqual(yield* store.read(log, 0, 10), yield* inner.read(log, 0, 10))
      assert.deepStrictEqual(yield* store.chainAt(log, 1), yield* inner.chainAt(log, 1))
      assert.deepStrictEqual(store.identity, inner.identity)
    })
  )

  it.effect("a slow disk holds nothing before its wait ends", () =>
    Effect.gen(function* () {
      const { faults, inner, store } = yield* setUp
      const gate = Latch.makeUnsafe()
      faults.inject(FaultyReplicaStore.slowDiskUntil(gate.await))
      const append = yield* Effect.forkChild(store.append(batch), { startImmediately: true })
      assert.deepStrictEqual(yield* inner.watermarks, [])
      gate.openUnsafe()
      assert.deepStrictEqual(yield* Fiber.join(append), watermark)
      assert.strictEqual(faults.count("SlowDisk"), 1)
    })
  )

  it.effect("a failed append holds nothing, and the next one works", () =>
    Effect.gen(function* () {
      const { faults, inner, store } = yield* setUp
      faults.inject(FaultyReplicaStore.failedAppend("read_only"))
      const error = yield* Effect.flip(store.append(batch))
      assert(error._tag === "StoreError")
      assert.strictEqual(error.reason, "read_only")
      assert.deepStrictEqual(yield* inner.watermarks, [])
      assert.deepStrictEqual(yield* store.append(batch), watermark)
      assert.strictEqual(faults.count("FailedAppend"), 1)
    })
  )

  for (const held of [true, false]) {
    it.effect(
      `a failed fsync is uncertain, and what is called after it was not tried; reopened, the entries are ${held ? "" : "not "}held`,
      () =>
        Effect.gen(function* () {
          const { faults, inner, store } = yield* setUp
          faults.inject(FaultyReplicaStore.failedFsync(held))
          const reasons: Array<string> = []
          for (const call of [store.append(batch), store.append(batch), store.watermarks, store.read(log, 0, 1)]) {
            const error = yield* Effect.flip<unknown, ReplicaStore.StoreError | { readonly _tag: string }, never>(call)
            assert(error instanceof ReplicaStore.StoreError)
            reasons.push(error.reason)
          }
          assert.deepStrictEqual(reasons, ["uncertain", "unavailable", "unavailable", "unavailable"])
          assert.strictEqual(faults.count("FailedFsync"), 1)
          const reopened = FaultyReplicaStore.make(inner, faults)
          assert.deepStrictEqual(yield* reopened.watermarks, held ? [watermark] : [])
          assert.deepStrictEqual(yield* reopened.append(batch), watermark)
        })
    )
  }
})
