/** What is erased in another copy of a log is erased here too, whatever either of the two has erased before. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import { Entry, HybridLogicalClock, LogId, ReplicaId } from "../src/index.ts"
import { EntryBatch, ReplicaStore, Watermark } from "../src/adapter.ts"
import * as ErasedElsewhere from "../src/log/ErasedElsewhere.ts"

const log = LogId.make(ReplicaId.make("a"), "00000000000000aa" as LogId.Incarnation)
const writes = Array.from({ length: 10 }, (_, i) => Entry.put("ns", `key ${i}`, "x".repeat(i)))
const { batch: whole } = EntryBatch.encode(Watermark.none(log), writes, HybridLogicalClock.zero, 1_700_000_000_000)

const setOf = (bits: number) => Array.from({ length: 10 }, (_, i) => i + 1).filter((seq) => (bits >> seq) & 1)
const without = (batch: EntryBatch.EntryBatch, erased: ReadonlyArray<number>) =>
  EntryBatch.erase(batch, (seq) => (erased.includes(seq) ? "superseded" : "kept"))

/** A store that holds the log up to a place, but for what is erased. */
const holding = Effect.fnUntraced(function* (upTo: number, erased: ReadonlyArray<number>) {
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("b") })
  if (upTo > 0) yield* store.append(EntryBatch.upTo(whole, upTo))
  if (upTo > 0) yield* store.replace(without(EntryBatch.upTo(whole, upTo), erased))
  return store
})

const headOf = (store: ReplicaStore.ReplicaStore["Service"]) =>
  Effect.map(store.watermarks, ([head = Watermark.none(log)]) => head)

const left = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"]) {
  const seqs: Array<number> = []
  const { seq: end } = yield* headOf(store)
  for (let at = 0; at < end;) {
    const batch = Option.getOrThrow(yield* store.read(log, at, 1 << 20))
    assert.isTrue(Result.isSuccess(EntryBatch.validate(batch)))
    EntryBatch.forEach(batch, (seq) => void seqs.push(seq))
    at = EntryBatch.last(batch)
  }
  return seqs
})

describe("what is erased elsewhere", () => {
  it.effect("is erased here, nothing that is erased here comes back, and the rest is appended", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 400; i++) {
        const here = setOf((i * 7919) % 2048)
        const there = setOf((i * 104_729) % 2048)
        const upTo = 1 + (i % 10)
        const store = yield* holding(upTo, here)
        // A page of the other copy that begins anywhere that is held here, or right after.
        const all = without(whole, there)
        const page = EntryBatch.after(all, (i * 31) % (upTo + 1))
        const end = yield* ErasedElsewhere.take(store, yield* headOf(store), page)
        if (end.seq < 10) yield* store.append(EntryBatch.after(page, end.seq))
        const gone = (seq: number) => (seq <= upTo && here.includes(seq)) || (seq >= page.from && there.includes(seq))
        assert.deepStrictEqual(
          yield* left(store),
          setOf(2046).filter((seq) => !gone(seq)),
          `case ${i}`
        )
        assert.deepStrictEqual(yield* headOf(store), EntryBatch.watermark(whole))
      }
    })
  )

  it.effect("is appended after what is held, of which only what is one with what comes goes, and that is told", () =>
    Effect.gen(function* () {
      for (const [upTo, there, expected, isTold] of [
        [4, [2, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], false],
        [4, [2, 4, 5], [1, 2, 3, 6, 7, 8, 9, 10], true],
        [4, [3, 4, 5, 6], [1, 2, 7, 8, 9, 10], true]
      ] as const) {
        const store = yield* holding(upTo, [])
        let told = 0
        const tell = Effect.sync(() => void told++)
        const end = yield* ErasedElsewhere.append(store, yield* headOf(store), without(whole, there), tell)
        assert.deepStrictEqual(end, EntryBatch.watermark(whole))
        assert.deepStrictEqual(yield* left(store), [...expected])
        assert.strictEqual(told > 0, isTold)
      }
    })
  )

  it.effect("OneEntryPerPlace: is not taken from a copy that holds other entries", () =>
    Effect.gen(function* () {
      const other = EntryBatch.encode(Watermark.none(log), writes.toReversed(), HybridLogicalClock.zero, 1).batch
      const store = yield* holding(8, [2, 3])
      const taken = yield* Effect.result(ErasedElsewhere.take(store, yield* headOf(store), without(other, [5, 6])))
      assert.isTrue(Result.isFailure(taken) && taken.failure._tag === "AppendDrift")
      assert.deepStrictEqual(yield* left(store), [1, 4, 5, 6, 7, 8])
    })
  )

  it.effect("fits a batch that begins among entries that are erased here to what is held", () =>
    Effect.gen(function* () {
      const store = yield* holding(10, [3, 4, 5, 6])
      const page = EntryBatch.after(without(whole, [5, 6, 7]), 4)
      assert.strictEqual(page.from, 5)
      const batch = yield* ErasedElsewhere.fitting(store, page)
      assert.isTrue(Result.isSuccess(EntryBatch.validate(batch)))
      assert.strictEqual(batch.from, 3)
      yield* store.replace(batch)
      assert.deepStrictEqual(yield* left(store), [1, 2, 8, 9, 10])
      const late = EntryBatch.after(whole, 4)
      assert.deepStrictEqual(yield* left(store), [1, 2, 8, 9, 10])
      yield* store.replace(yield* ErasedElsewhere.fitting(store, late))
      assert.notInclude(yield* left(store), 5)
    })
  )
})
