/** The two halves of an append: what is written can be read, and is held when it was synced. */
import { assert } from "@effect/vitest"
import { Entry } from "@quorum/core"
import { EntryBatch, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Fiber } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { StorePlace } from "../../StorePlace.ts"
import { following, head, held, pieces, range, source, texts } from "../entries.ts"
import { refused } from "../refused.ts"
import { logA, logB, open, using } from "./rig.ts"

const all = source(logA, 12)
const other = source(logB, 3, "other")

/** The halves of a store; one that cannot tell them apart does all of it at once. */
const stepsOf = (store: ReplicaStore.ReplicaStore["Service"]) =>
  store.steps ?? { write: store.append, sync: Effect.void }

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "what is written is read at once, and is held when it was synced, also after a reopen",
    Effect.gen(function* () {
      yield* using(({ store }) =>
        Effect.gen(function* () {
          const { sync, write } = stepsOf(store)
          let end = 0
          for (const piece of pieces(all, 3)) {
            assert.deepStrictEqual(yield* write(piece), EntryBatch.watermark(piece))
            assert.deepStrictEqual(yield* held(store, logA), texts(range(all, 1, EntryBatch.last(piece))))
            assert.include([end, EntryBatch.last(piece)], (yield* head(store, logA)).seq)
            yield* sync
            assert.deepStrictEqual(yield* head(store, logA), EntryBatch.watermark(piece))
            end = EntryBatch.last(piece)
          }
        })
      )
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* head(store, logA), EntryBatch.watermark(all))
          assert.deepStrictEqual(yield* held(store, logA), texts(all))
        })
      )
    })
  ),

  Conformance.make(
    "a sync makes durable all that was written before it, and so do several at once",
    Effect.gen(function* () {
      const { store } = yield* open()
      const { sync, write } = stepsOf(store)
      for (const piece of [...pieces(all, 1), other]) yield* write(piece)
      const syncs = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(sync))
      yield* Effect.forEach(syncs, Fiber.join)
      assert.deepStrictEqual(yield* head(store, logA), EntryBatch.watermark(all))
      assert.deepStrictEqual(yield* head(store, logB), EntryBatch.watermark(other))
      yield* sync
    })
  ),

  Conformance.make(
    "an append of what was written already is held when it returns",
    Effect.gen(function* () {
      const { store } = yield* open()
      yield* stepsOf(store).write(all)
      assert.deepStrictEqual(yield* store.append(range(all, 2, 5)), EntryBatch.watermark(range(all, 2, 5)))
      assert.deepStrictEqual(yield* head(store, logA), EntryBatch.watermark(all))
    })
  ),

  Conformance.make(
    "what was written is not written over, and nothing is written behind a gap after it",
    Effect.gen(function* () {
      const { store } = yield* open()
      const { write } = stepsOf(store)
      yield* write(range(all, 1, 6))
      const gap = yield* refused("a gap", write(range(all, 8, 12)))
      assert.deepStrictEqual(gap, new ReplicaStore.AppendGap({ head: EntryBatch.watermark(range(all, 1, 6)) }))
      const different = following(
        EntryBatch.watermark(range(all, 1, 3)),
        [...Array(3)].map((_, i) => odd(i))
      )
      const drift = yield* refused("a drift", write(different))
      assert.deepStrictEqual(drift, new ReplicaStore.AppendDrift({ log: logA, seq: 6 }))
      assert.deepStrictEqual(yield* held(store, logA), texts(range(all, 1, 6)))
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------

const odd = (i: number) => Entry.put("ns", `odd ${i}`, "differs")
