import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Entry, HybridLogicalClock, type LogId } from "../src/index.ts"
import { Batches, type Chain, type DamagedRange, EntryBatch, ReplicaStore, Watermark } from "../src/adapter.ts"

const log = "a@9f3c52d0b1e44a07" as LogId.LogId

const source = (name: string, length: number): EntryBatch.EntryBatch =>
  EntryBatch.encode(
    Watermark.none(log),
    Array.from({ length }, (_, i) => Entry.put("ns", `k${i}`, `${name}${i}`)),
    HybridLogicalClock.zero,
    1
  ).batch

const all = source("x", 12)
const another = source("y", 12)

const range = (batch: EntryBatch.EntryBatch, from: number, to: number) =>
  EntryBatch.upTo(EntryBatch.after(batch, from - 1), to)

const without = (batch: EntryBatch.EntryBatch, from: number, to: number) =>
  EntryBatch.erase(batch, (seq) => (from <= seq && seq <= to ? "superseded" : "kept"))

const damage = (from: number, to: number): DamagedRange.DamagedRange => ({ log, from, to })

/** What is held of the log: its beginning up to an entry, with some of it erased, and some damaged. */
const held = (
  upTo: number,
  {
    erased = [1, 0],
    damaged = []
  }: {
    readonly erased?: readonly [number, number]
    readonly damaged?: ReadonlyArray<DamagedRange.DamagedRange>
  } = {}
): ReplicaStore.HeldPart => {
  const batch = without(range(all, 1, upTo), ...erased)
  const isBad = (seq: number) => damaged.some(({ from, to }) => from <= seq && seq <= to)
  const chainAt = (seq: number): Chain.Chain | undefined =>
    isBad(seq) && isBad(seq + 1) ? undefined : EntryBatch.chainAt(batch, seq)
  return { head: EntryBatch.watermark(batch), damaged, chainAt }
}

const decided = (part: ReplicaStore.HeldPart, batch: EntryBatch.EntryBatch): string => {
  const decision = ReplicaStore.decideReplace(part, batch)
  return Result.isSuccess(decision) ? decision.success : decision.failure._tag
}

const appended = (part: ReplicaStore.HeldPart, batch: EntryBatch.EntryBatch) =>
  ReplicaStore.decideAppend(part.head, batch, part.chainAt)

const tagOf = (result: ReturnType<typeof appended>): string =>
  Result.isSuccess(result) ? result.success._tag : result.failure._tag

describe("decideReplace", () => {
  it("erases what is sound where both ends fit, and refuses what fits at one end or none", () => {
    assert.strictEqual(decided(held(12), without(range(all, 3, 8), 4, 6)), "Replace")
    assert.strictEqual(decided(held(12), without(all, 1, 12)), "Replace")
    assert.strictEqual(decided(held(12), without(range(another, 3, 8), 4, 6)), "AppendDrift")
    // It begins well and ends with something else: one log up to 5, and another from there on.
    const mixed = EntryBatch.concat([range(all, 3, 5), { ...range(another, 6, 8), prevChain: range(all, 5, 5).chain }])
    assert.strictEqual(decided(held(12), without(mixed, 4, 4)), "AppendDrift")
  })

  it("goes on beyond the end where it agrees there, or nobody can tell because that is among erased entries", () => {
    assert.strictEqual(decided(held(6), without(range(all, 3, 9), 4, 5)), "Replace")
    assert.strictEqual(decided(held(6), without(range(all, 3, 9), 4, 8)), "Replace")
    assert.strictEqual(decided(held(6), range(all, 5, 9)), "Replace")
    assert.strictEqual(decided(held(6), without(range(all, 7, 9), 7, 8)), "Replace")
    assert.strictEqual(decided(held(6), range(all, 8, 9)), "AppendGap")
    const mixed = { ...range(another, 3, 9), prevChain: range(all, 2, 2).chain }
    assert.strictEqual(decided(held(6), mixed), "AppendDrift")
  })

  it("leaves what is held as it is, whatever is brought, and puts back nothing that was erased", () => {
    assert.strictEqual(decided(held(12), range(all, 3, 8)), "Held")
    assert.strictEqual(decided(held(12), range(another, 3, 8)), "Held")
    assert.strictEqual(decided(held(12, { erased: [4, 6] }), range(all, 3, 8)), "Held")
  })

  it("refuses a batch that begins or ends among what is erased here", () => {
    const part = held(12, { erased: [4, 6] })
    assert.strictEqual(decided(part, without(range(all, 5, 9), 8, 8)), "AppendGap")
    assert.strictEqual(decided(part, without(range(all, 2, 5), 3, 3)), "AppendGap")
    assert.strictEqual(decided(part, without(range(all, 3, 7), 3, 7)), "Replace")
  })

  it("mends what is damaged, piece by piece from its beginning, with or without what is erased elsewhere", () => {
    const part = held(12, { damaged: [damage(4, 6), damage(7, 9)] })
    assert.strictEqual(decided(part, range(all, 4, 9)), "Mend")
    assert.strictEqual(decided(part, range(all, 4, 5)), "Mend")
    assert.strictEqual(decided(part, without(range(all, 4, 9), 5, 8)), "Mend")
    assert.strictEqual(decided(part, range(another, 4, 5)), "AppendDrift")
    assert.strictEqual(decided(part, range(all, 5, 9)), "AppendDrift")
    assert.strictEqual(decided(part, range(all, 3, 10)), "Mend")
    assert.strictEqual(decided(part, { ...range(all, 3, 10), chain: another.chain }), "AppendDrift")
    assert.strictEqual(decided(part, { ...range(all, 3, 12), chain: another.chain }), "AppendDrift")
    // All that is damaged, and not one entry more or less: what comes after it is known.
    assert.strictEqual(decided(part, { ...range(all, 4, 9), chain: another.chain }), "AppendDrift")
    assert.strictEqual(decided(part, { ...range(all, 4, 8), chain: another.chain }), "Mend")
    assert.strictEqual(decided(part, range(all, 10, 12)), "Held")
  })
})

describe("decideAppend of a log of which something is erased", () => {
  const part = held(10, { erased: [3, 8] })

  it("appends and acks again what can be compared at one place at least", () => {
    assert.deepStrictEqual(
      appended(part, range(all, 5, 12)),
      Result.succeed<ReplicaStore.AppendDecision>({ _tag: "Append", batch: range(all, 11, 12) })
    )
    assert.strictEqual(tagOf(appended(part, range(all, 5, 9))), "Held")
    assert.strictEqual(tagOf(appended(part, all)), "Append")
    assert.strictEqual(tagOf(appended(part, range(another, 5, 9))), "AppendDrift")
    assert.strictEqual(tagOf(appended(part, range(another, 3, 4))), "AppendDrift")
  })

  it("asks for what follows the end where nothing can be compared, on either side", () => {
    const gap = new ReplicaStore.AppendGap({ head: part.head })
    assert.deepStrictEqual(appended(part, range(all, 4, 6)), Result.fail(gap))
    assert.deepStrictEqual(appended(part, without(range(all, 2, 12), 9, 11)), Result.fail(gap))
  })
})

describe("withEdges", () => {
  const rows = [range(all, 1, 4), range(all, 5, 8), range(all, 9, 12)] as const
  const size = rows[0].bytes.length
  const placesOf = ({ count, from }: EntryBatch.EntryBatch) => [from, from + count - 1]

  it("takes the rest of a row that is covered in part, on both sides, also of the same row", () => {
    const inside = ReplicaStore.withEdges(without(range(all, 6, 7), 6, 7), rows[1], rows[1], size)
    assert.deepStrictEqual(inside, without(rows[1], 6, 7))
    const across = ReplicaStore.withEdges(without(range(all, 3, 10), 3, 10), rows[0], rows[2], size)
    assert.deepStrictEqual(across, without(all, 3, 10))
    // By one entry on each side, and by none.
    const byOne = ReplicaStore.withEdges(without(range(all, 4, 9), 4, 9), rows[0], rows[2], size)
    assert.deepStrictEqual(byOne, without(all, 4, 9))
    const byNone = ReplicaStore.withEdges(without(rows[1], 5, 8), rows[0], rows[2], size)
    assert.deepStrictEqual(byNone, without(rows[1], 5, 8))
  })

  it("takes a row beside it that is less than half as long as rows may be, and no other", () => {
    const batch = without(rows[1], 5, 8)
    assert.deepStrictEqual(placesOf(ReplicaStore.withEdges(batch, rows[0], rows[2], 2 * size)), [5, 8])
    assert.deepStrictEqual(
      placesOf(ReplicaStore.withEdges(batch, rows[0], rows[2], 2 * rows[2].bytes.length + 1)),
      [1, 12]
    )
    assert.deepStrictEqual(placesOf(ReplicaStore.withEdges(batch, undefined, undefined, 9 * size)), [5, 8])
  })

  it("makes one range of neighbouring ones", () => {
    const whole = ReplicaStore.withEdges(
      without(rows[1], 5, 8),
      without(rows[0], 1, 4),
      without(rows[2], 9, 9),
      9 * size
    )
    assert.deepStrictEqual(whole, without(all, 1, 9))
  })
})

describe("Batches", () => {
  const batches: Batches.Batches = [range(all, 1, 4), without(range(all, 5, 8), 5, 7), range(all, 9, 10)]

  it("have one put in the place of what they have there, or after their end", () => {
    for (const [from, to] of [
      [1, 4],
      [2, 3],
      [3, 8],
      [5, 7],
      [8, 12],
      [1, 12],
      [11, 12]
    ] as const) {
      const found = Batches.put(batches, without(range(all, from, to), from, to))
      const end = Math.max(10, to)
      const expected = without(without(range(all, 1, end), 5, 7), from, to)
      assert.deepStrictEqual(
        without(EntryBatch.concat(found as [EntryBatch.EntryBatch]), 1, 0),
        expected,
        `${from} to ${to}`
      )
    }
  })

  it("stay as they are where that would cut what was erased together", () => {
    for (const [from, to] of [
      [6, 9],
      [2, 6],
      [6, 6]
    ] as const) {
      assert.strictEqual(Batches.put(batches, range(all, from, to)), batches)
    }
  })
})
