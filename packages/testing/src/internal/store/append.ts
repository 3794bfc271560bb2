/** What an append does: durable, atomic, idempotent, and never over what is held. */
import { assert } from "@effect/vitest"
import { Chain, EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Fiber, Result } from "effect"
import * as Conformance from "../../Conformance.ts"
import * as Faults from "../../Faults.ts"
import type { StorePlace } from "../../StorePlace.ts"
import { following, head, held, pieces, range, source, texts } from "../entries.ts"
import { refused } from "../refused.ts"
import { logA, logB, open, using } from "./rig.ts"

const all = source(logA, 12)

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "an append is held when it returns, and after every reopen",
    Effect.gen(function* () {
      for (const piece of pieces(all, 3)) {
        yield* using(({ store }) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* store.append(piece), EntryBatch.watermark(piece))
            assert.deepStrictEqual(yield* head(store, logA), EntryBatch.watermark(piece))
            assert.deepStrictEqual(yield* held(store, logA), texts(range(all, 1, EntryBatch.last(piece))))
          })
        )
        yield* using(({ store }) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* head(store, logA), EntryBatch.watermark(piece))
            assert.deepStrictEqual(yield* held(store, logA), texts(range(all, 1, EntryBatch.last(piece))))
          })
        )
      }
    })
  ),

  Conformance.make(
    "a batch is held whole or not at all, whoever reads meanwhile",
    Effect.gen(function* () {
      const { store } = yield* open()
      const large = source(logA, 4000)
      let done = false
      const append = yield* Effect.forkChild(
        Effect.ensuring(
          store.append(large),
          Effect.sync(() => (done = true))
        )
      )
      while (!done) {
        const { seq } = yield* head(store, logA)
        assert.include([0, large.count], seq)
        yield* Effect.yieldNow
      }
      yield* Fiber.join(append)
      assert.deepStrictEqual(yield* held(store, logA), texts(large))
    })
  ),

  Conformance.make(
    "an append that is interrupted is held whole or not at all, and a reopen finds the same",
    Effect.gen(function* () {
      const large = source(logA, 4000)
      const before = yield* using(({ store }) =>
        Effect.gen(function* () {
          const append = yield* Effect.forkChild(store.append(large), { startImmediately: true })
          yield* Fiber.interrupt(append)
          const { seq } = yield* head(store, logA)
          assert.include([0, large.count], seq)
          return seq
        })
      )
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* head(store, logA)).seq, before)
          assert.deepStrictEqual(yield* store.append(large), EntryBatch.watermark(large))
          assert.deepStrictEqual(yield* held(store, logA), texts(large))
        })
      )
    })
  ),

  Conformance.make(
    "a repeated batch and a repeated beginning are acked again, and change nothing",
    Effect.gen(function* () {
      const { store } = yield* open()
      for (const to of [5, 5, 1, 3, 5]) {
        const batch = range(all, 1, to)
        assert.deepStrictEqual(yield* store.append(batch), EntryBatch.watermark(batch))
      }
      for (const [from, to] of [
        [2, 4],
        [5, 5]
      ] as const) {
        const batch = range(all, from, to)
        assert.deepStrictEqual(yield* store.append(batch), EntryBatch.watermark(batch))
      }
      assert.deepStrictEqual(yield* held(store, logA), texts(range(all, 1, 5)))
    })
  ),

  Conformance.make(
    "of a batch that begins with what is held, the rest is appended",
    Effect.gen(function* () {
      const { store } = yield* open()
      yield* store.append(range(all, 1, 4))
      assert.deepStrictEqual(yield* store.append(range(all, 3, 7)), EntryBatch.watermark(range(all, 3, 7)))
      assert.deepStrictEqual(yield* store.append(all), EntryBatch.watermark(all))
      assert.deepStrictEqual(yield* held(store, logA), texts(all))
    })
  ),

  Conformance.make(
    "a gap is refused with the head that is held, and nothing is written",
    Effect.gen(function* () {
      yield* using(({ store }) =>
        Effect.gen(function* () {
          const unknown = yield* refused("a gap", store.append(range(all, 2, 3)))
          assert.instanceOf(unknown, ReplicaStore.AppendGap)
          assert.deepStrictEqual((unknown as ReplicaStore.AppendGap).head, Watermark.none(logA))
          assert.deepStrictEqual(yield* store.watermarks, [])
          yield* store.append(range(all, 1, 3))
          const gap = yield* refused("a gap", store.append(range(all, 5, 6)))
          assert.instanceOf(gap, ReplicaStore.AppendGap)
          assert.deepStrictEqual((gap as ReplicaStore.AppendGap).head, EntryBatch.watermark(range(all, 1, 3)))
          assert.deepStrictEqual(yield* held(store, logA), texts(range(all, 1, 3)))
        })
      )
      yield* using(({ store }) =>
        Effect.map(held(store, logA), (found) => assert.deepStrictEqual(found, texts(range(all, 1, 3))))
      )
    })
  ),

  Conformance.make(
    "a drift is refused wherever it is, and what is held stays",
    Effect.gen(function* () {
      const kept = range(all, 1, 6)
      const end = EntryBatch.watermark(kept)
      const others = [
        source(logA, 6, "y"),
        source(logA, 9, "y"),
        source(logA, 9, "y", 3),
        range(source(logA, 9, "y"), 4, 5),
        range(source(logA, 9, "y"), 7, 9),
        following({ ...end, chain: Chain.empty }, [{ kind: "put", namespace: "ns", key: "k", value: new Uint8Array() }])
      ]
      yield* using(({ store }) =>
        Effect.gen(function* () {
          for (const piece of pieces(kept, 2)) yield* store.append(piece)
          for (const other of others) {
            const drift = yield* refused("a drift", store.append(other))
            assert.instanceOf(drift, ReplicaStore.AppendDrift)
            assert.strictEqual((drift as ReplicaStore.AppendDrift).log, logA)
            assert.deepStrictEqual(yield* head(store, logA), end)
            assert.deepStrictEqual(yield* held(store, logA), texts(kept))
          }
        })
      )
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* held(store, logA), texts(kept))
          assert.deepStrictEqual(yield* store.append(all), EntryBatch.watermark(all))
        })
      )
    })
  ),

  Conformance.make(
    "appends, holds and refuses as a plain array would, whatever comes in whatever order",
    Effect.gen(function* () {
      const random = Faults.generator(20_260_101)
      const pick = (count: number) => Math.floor(random() * count)
      const sources = [all, all, all, source(logA, 12, "y"), source(logA, 12, "w", 8), source(logA, 12, "z", 5)]
      const seen = { Gap: 0, Drift: 0, Held: 0, Append: 0 }
      for (let round = 0; round < 3; round++) {
        const log = round === 0 ? logA : logB
        const { close, store } = yield* open()
        let model: ReadonlyArray<string> = yield* held(store, log)
        for (let step = 0; step < 60; step++) {
          const from = 1 + Math.min(pick(12), pick(12))
          const batch = { ...range(sources[pick(sources.length)]!, from, Math.min(12, from + pick(4))), log }
          const last = EntryBatch.last(batch)
          const whole = texts(batch)
          const known = yield* store.chainAt(log, from - 1)
          const result = yield* Effect.result(store.append(batch))
          if (from - 1 > model.length) {
            seen.Gap++
            assert(Result.isFailure(result) && result.failure._tag === "AppendGap", "a gap has to be refused")
          } else if (
            (known._tag === "Some" && known.value !== batch.prevChain) ||
            model.slice(from - 1, last).some((entry, i) => entry !== whole[i])
          ) {
            seen.Drift++
            assert(Result.isFailure(result) && result.failure._tag === "AppendDrift", "a drift has to be refused")
          } else {
            assert(Result.isSuccess(result), "what follows, or is held, has to be acked")
            assert.deepStrictEqual(result.success, EntryBatch.watermark(batch))
            if (last <= model.length) seen.Held++
            else {
              seen.Append++
              model = [...model.slice(0, from - 1), ...whole]
            }
          }
          assert.deepStrictEqual(yield* held(store, log), model)
        }
        yield* close
      }
      for (const [kind, times] of Object.entries(seen)) assert.isAbove(times, 3, `met too few of ${kind}`)
    })
  ),

  Conformance.make(
    "of two batches for one place one is held, and the other is refused as a drift",
    Effect.gen(function* () {
      const { store } = yield* open()
      const rivals = [source(logA, 5, "x"), source(logA, 5, "y"), source(logA, 5, "z")]
      const results = yield* Effect.forEach(rivals, (batch) => Effect.result(store.append(batch)), {
        concurrency: "unbounded"
      })
      const winners = rivals.filter((_, i) => Result.isSuccess(results[i]!))
      assert.strictEqual(winners.length, 1)
      for (const result of results) {
        if (Result.isFailure(result)) assert.instanceOf(result.failure, ReplicaStore.AppendDrift)
      }
      assert.deepStrictEqual(yield* held(store, logA), texts(winners[0]!))
    })
  ),

  Conformance.make(
    "a log that is cut in several places at once ends at the first of them, and goes on there, also after a reopen",
    Effect.gen(function* () {
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* store.append(range(all, 1, 10))
          const cuts = [7, 2, 4].map((after) => store.cut(logA, after))
          yield* Effect.all(cuts, { concurrency: "unbounded" })
          assert.deepStrictEqual(yield* head(store, logA), EntryBatch.watermark(range(all, 1, 2)))
          yield* store.append(EntryBatch.after(all, 2))
        })
      )
      yield* using(({ store }) => Effect.map(held(store, logA), (found) => assert.deepStrictEqual(found, texts(all))))
    })
  ),

  Conformance.make(
    "concurrent appends to several logs all take effect, those to one log one after the other",
    Effect.gen(function* () {
      const { store } = yield* open()
      const logs = [logA, logB].map((log) => source(log, 60))
      // What comes too early is refused as a gap, and comes again.
      const append = (batch: EntryBatch.EntryBatch): Effect.Effect<Watermark.Watermark, unknown> =>
        Effect.catchIf(
          store.append(batch),
          (error) => error._tag === "AppendGap",
          () =>
            Effect.andThen(
              Effect.yieldNow,
              Effect.suspend(() => append(batch))
            )
        )
      const batches = logs.flatMap((log) => pieces(log, 3))
      const acks = yield* Effect.forEach(batches, append, { concurrency: "unbounded" })
      assert.deepStrictEqual(acks, batches.map(EntryBatch.watermark))
      for (const log of logs) assert.deepStrictEqual(yield* held(store, log.log), texts(log))
    })
  )
]
