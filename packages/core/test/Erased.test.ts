import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Entry, HybridLogicalClock, type LogId } from "../src/index.ts"
import * as Erased from "../src/log/Erased.ts"
import { type Chain, CheckedBatch, EntryBatch } from "../src/adapter.ts"

const log = "a@00000000000000aa" as LogId.LogId
const head = { log, seq: 41, chain: "0123456789abcdef" as Chain.Chain }
const writes = Array.from({ length: 12 }, (_, i) => Entry.put("ns", `key ${i}`, "x".repeat(i * 5)))
const { batch: whole } = EntryBatch.encode(head, writes, HybridLogicalClock.zero, 1_700_000_000_000)
const chains = new Map(Array.from({ length: 13 }, (_, i) => [41 + i, EntryBatch.chainAt(whole, 41 + i)] as const))

const goes =
  (is: (seq: number) => boolean) =>
  (seq: number): EntryBatch.Fate =>
    is(seq) ? "superseded" : "kept"

/** The batch without the entries of a set of places. */
const without = (...erased: ReadonlyArray<number>) =>
  EntryBatch.erase(
    whole,
    goes((seq) => erased.includes(seq))
  )

/** All that can be erased of twelve entries, one in seven of it. */
const sets = Array.from({ length: 585 }, (_, i) => i * 7).map((bits) =>
  Array.from({ length: 12 }, (_, i) => 42 + i).filter((seq) => ((bits >> (seq - 42)) & 1) === 1)
)

const seqsOf = (batch: EntryBatch.EntryBatch): ReadonlyArray<number> => {
  const seqs: Array<number> = []
  EntryBatch.forEach(batch, (seq) => void seqs.push(seq))
  return seqs
}

/** Whether the place and the next are erased, so that nobody knows the chain between the two. */
const isWithin = (erased: ReadonlyArray<number>, seq: number) => erased.includes(seq) && erased.includes(seq + 1)

/** Where the range of erased entries begins that a place is in, or the place itself. */
const beginOf = (erased: ReadonlyArray<number>, seq: number): number =>
  isWithin(erased, seq - 1) ? beginOf(erased, seq - 1) : seq

/** Where it ends. */
const endOf = (erased: ReadonlyArray<number>, seq: number): number =>
  isWithin(erased, seq) ? endOf(erased, seq + 1) : seq

describe("Erased", () => {
  it("leaves the places, the other entries and the chain of a batch as they are", () => {
    for (const erased of sets) {
      const batch = without(...erased)
      assert.isTrue(Result.isSuccess(EntryBatch.validate(batch)))
      assert.deepStrictEqual({ ...batch, bytes: 0 }, { ...whole, bytes: 0 })
      assert.deepStrictEqual(
        seqsOf(batch),
        seqsOf(whole).filter((seq) => !erased.includes(seq))
      )
      EntryBatch.forEach(batch, (seq, at) => {
        assert.deepStrictEqual(Entry.decodeAt(batch.bytes, at).records, [writes[seq - 42]!])
      })
      const checked = CheckedBatch.make(batch)!
      for (let seq = 41; seq <= 53; seq++) {
        const chain = isWithin(erased, seq) ? undefined : chains.get(seq)
        assert.strictEqual(EntryBatch.chainAt(batch, seq), chain, `at ${seq}`)
        assert.strictEqual(CheckedBatch.chainAt(checked, seq), chain, `at ${seq}`)
      }
    }
  })

  it("is erased in steps as at once, in any order", () => {
    for (const erased of sets.filter((_, i) => i % 5 === 0)) {
      const first = EntryBatch.erase(
        whole,
        goes((seq) => seq % 3 === 0 && erased.includes(seq))
      )
      const second = EntryBatch.erase(
        first,
        goes((seq) => seq % 3 === 1 && erased.includes(seq))
      )
      const third = EntryBatch.erase(
        second,
        goes((seq) => erased.includes(seq))
      )
      assert.deepStrictEqual(third, without(...erased))
      assert.strictEqual(
        EntryBatch.erase(third, () => "kept"),
        third
      )
    }
  })

  it("begins a part with the whole range that its first place is in, and never cuts one", () => {
    for (const erased of sets.filter((_, i) => i % 3 === 0)) {
      const batch = without(...erased)
      const checked = CheckedBatch.make(batch)!
      for (let seq = 42; seq <= 53; seq++) {
        const from = beginOf(erased, seq)
        const rest = EntryBatch.after(batch, seq - 1)
        assert.isTrue(Result.isSuccess(EntryBatch.validate(rest)))
        assert.deepStrictEqual([rest.from, EntryBatch.last(rest), rest.prevChain], [from, 53, chains.get(from - 1)])
        const beginning = EntryBatch.upTo(batch, seq)
        assert.isTrue(Result.isSuccess(EntryBatch.validate(beginning)))
        assert.deepStrictEqual([beginning.from, EntryBatch.last(beginning)], [42, endOf(erased, seq)])
        for (const maxBytes of [0, 28, 60, 200, 400, 10_000]) {
          assert.deepStrictEqual(CheckedBatch.part(checked, seq, maxBytes), EntryBatch.take(rest, maxBytes))
          assert.deepStrictEqual(CheckedBatch.cut(batch, seq, maxBytes), EntryBatch.take(rest, maxBytes))
        }
      }
    }
  })

  it("is split and put together again without a difference", () => {
    for (const erased of sets.filter((_, i) => i % 3 === 1)) {
      const batch = without(...erased)
      for (const maxBytes of [1, 60, 100, 300]) {
        const parts = EntryBatch.split(batch, maxBytes)
        for (const part of parts) assert.isTrue(Result.isSuccess(EntryBatch.validate(part)))
        assert.deepStrictEqual(EntryBatch.concat(parts as [EntryBatch.EntryBatch]), batch)
      }
    }
  })

  it("says of every range whether deletes are among it", () => {
    const fates: Record<number, EntryBatch.Fate> = { 43: "superseded", 44: "deleted", 47: "superseded", 50: "deleted" }
    const once = EntryBatch.erase(whole, (seq) => fates[seq] ?? "kept")
    const more = EntryBatch.erase(once, (seq) => (seq === 48 || seq === 45 ? "superseded" : "kept"))
    const flags = (batch: EntryBatch.EntryBatch) => {
      const found: Array<boolean> = []
      for (let at = 0; at < batch.bytes.length; at = Entry.endUnsafe(batch.bytes, at)) {
        if (Erased.is(batch.bytes, at)) found.push(Erased.hasDeletes(batch.bytes, at))
      }
      return found
    }
    assert.deepStrictEqual(flags(once), [true, false, true])
    assert.deepStrictEqual(flags(more), [true, false, true])
  })

  it("says the highest clock of what is left", () => {
    const newest = EntryBatch.highestClock(whole)
    assert.deepStrictEqual(EntryBatch.highestClock(without(42, 43)), newest)
    assert.isBelow(HybridLogicalClock.compare(EntryBatch.highestClock(without(53)), newest), 0)
    assert.deepStrictEqual(
      EntryBatch.highestClock(EntryBatch.erase(whole, () => "superseded")),
      HybridLogicalClock.zero
    )
  })

  it("L60 is not taken when a bit of it, or of what is around it, is not what it was", () => {
    for (const batch of [without(42, 43, 47, 48, 49), without(53), EntryBatch.erase(whole, () => "deleted")]) {
      assert.isDefined(CheckedBatch.make(batch))
      for (let bit = 0; bit < batch.bytes.length * 8; bit++) {
        const bytes = batch.bytes.slice()
        bytes[bit >> 3]! ^= 1 << (bit & 7)
        assert.isUndefined(CheckedBatch.make({ ...batch, bytes }), `bit ${bit}`)
        assert.isTrue(Result.isFailure(EntryBatch.validate({ ...batch, bytes })), `bit ${bit}`)
      }
      for (const wrong of [{ count: 11 }, { count: 13 }, { bytes: batch.bytes.subarray(0, -1) }]) {
        assert.isUndefined(CheckedBatch.make({ ...batch, ...wrong }))
        assert.isTrue(Result.isFailure(EntryBatch.validate({ ...batch, ...wrong })))
      }
    }
  })
})
