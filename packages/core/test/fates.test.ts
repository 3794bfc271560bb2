/** What becomes of the entries of a log when it is compacted, by what is known of their keys. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, type HybridLogicalClock, type LogId } from "../src/index.ts"
import { EntryBatch, type RecordIndex, RecordKey, RunId, Watermark } from "../src/adapter.ts"
import * as Fates from "../src/upkeep/internal/fates.ts"

const log = "a@0000000000000001" as LogId.LogId
const other = "b@0000000000000002" as LogId.LogId
const now = 1_700_000_000_000
const put = (key: string) => Entry.put("ns", key, "v")
const del = (key: string) => Entry.remove("ns", key)

/** Entries whose clocks are their sequences, from 1 on. */
const batchOf = (...writes: ReadonlyArray<Entry.Writes>) =>
  EntryBatch.encodeStamped(Watermark.none(log), writes, (i) => ({
    clock: { wallTime: now, logical: i + 1 },
    tie: RunId.none,
    unprobed: false
  })).batch

const at = (logical: number): HybridLogicalClock.HybridLogicalClock => ({ wallTime: now, logical })

const pointer = (
  key: string,
  where: LogId.LogId,
  seq: number,
  logical: number,
  deleted = false
): RecordIndex.Pointer => ({ namespace: "ns", key, log: where, seq, clock: at(logical), tie: RunId.none, deleted })

const inSteps = <A>(steps: Generator<void, A>) => {
  for (let count = 0; ; count++) {
    const step = steps.next()
    if (step.done === true) return { result: step.value, count }
  }
}

const decide = (
  batch: EntryBatch.EntryBatch,
  known: Readonly<Record<string, Fates.Newest>>,
  options: Partial<Fates.Situation> = {}
) =>
  inSteps(
    Fates.decide(batch, {
      log,
      frontier: 100,
      forgetBefore: undefined,
      isNeeded: () => false,
      isNeededForLive: () => false,
      now: at(1000),
      known: Array.from(Fates.keysOf(batch), ({ key }) => known[key]!),
      ...options
    })
  ).result

const both = (newest: RecordIndex.Pointer): Fates.Newest => ({ newest, everywhere: newest, isSettled: true })

/** The sequences of the entries that stay. */
const left = ({ batch }: Fates.Decided) => {
  const seqs: Array<number> = []
  EntryBatch.forEach(batch, (seq) => void seqs.push(seq))
  return seqs
}

describe("what becomes of an entry", () => {
  it("goes when every member holds a newer write of its key, and stays when it is the newest itself", () => {
    const decided = decide(batchOf(put("k"), put("l"), put("k")), {
      k: both(pointer("k", log, 3, 3)),
      l: both(pointer("l", log, 2, 2))
    })
    assert.deepStrictEqual(left(decided), [2, 3])
    assert.isUndefined(decided.oldestLeft)
  })

  it("stays while what superseded it is not held by all, and is said to be left", () => {
    const batch = batchOf(put("k"), put("l"))
    const newest = pointer("k", other, 900, 900)
    const l = both(pointer("l", log, 2, 2))
    const nowhere = decide(batch, { k: { newest, everywhere: undefined, isSettled: true }, l })
    assert.deepStrictEqual([left(nowhere), nowhere.oldestLeft], [[1, 2], at(1)])
    const older = decide(batch, { k: { newest, everywhere: pointer("k", log, 1, 1), isSettled: true }, l })
    assert.deepStrictEqual([left(older), older.oldestLeft], [[1, 2], at(1)])
    const between = decide(batch, { k: { newest, everywhere: pointer("k", other, 40, 40), isSettled: true }, l })
    assert.deepStrictEqual([left(between), between.oldestLeft], [[2], undefined])
  })

  it("stays beyond the frontier, whatever is newer", () => {
    const decided = decide(batchOf(put("k"), put("k")), { k: both(pointer("k", other, 9, 9)) }, { frontier: 1 })
    assert.deepStrictEqual(left(decided), [2])
  })

  it("of copies of one write, one stays", () => {
    const copies = { k: both({ ...pointer("k", other, 7, 1) }) }
    assert.deepStrictEqual(left(decide(batchOf(put("k")), copies)), [])
    const winner = { k: both(pointer("k", log, 1, 1)) }
    assert.deepStrictEqual(left(decide(batchOf(put("k")), winner)), [1])
  })

  it("of a delete: stays until all members have swept beyond it, and then its pointer goes too", () => {
    const batch = batchOf(put("k"), del("k"))
    const k = pointer("k", log, 2, 2, true)
    const early = decide(batch, { k: both(k) }, { forgetBefore: at(2) })
    assert.deepStrictEqual([left(early), early.forgotten, early.oldestDelete], [[2], [], at(2)])
    const late = decide(batch, { k: both(k) }, { forgetBefore: at(3) })
    assert.deepStrictEqual([left(late), late.forgotten], [[], [k]])
    assert.isTrue(EntryBatch.hasErasedDeletes(late.batch))
    assert.isFalse(EntryBatch.hasErasedDeletes(early.batch))
  })

  it("of a delete: stays while a write of its key waits for the index, which would end with a pointer to what is gone", () => {
    const batch = batchOf(put("k"), del("k"))
    const k = { ...both(pointer("k", log, 2, 2, true)), isSettled: false }
    const decided = decide(batch, { k }, { forgetBefore: at(3) })
    assert.deepStrictEqual([left(decided), decided.forgotten, decided.oldestDelete], [[2], [], at(2)])
  })

  it("of a delete whose pointer went before a crash: goes", () => {
    const k = { newest: undefined, everywhere: undefined, isSettled: true }
    const decided = decide(batchOf(del("k")), { k }, { forgetBefore: at(2) })
    assert.deepStrictEqual([left(decided), decided.forgotten], [[], []])
  })

  it("of a delete that the index does not know: stays while a member may hold what it deleted", () => {
    const k = { newest: undefined, everywhere: undefined, isSettled: true }
    for (const forgetBefore of [undefined, at(1)]) {
      const decided = decide(batchOf(del("k")), { k }, { forgetBefore })
      assert.deepStrictEqual([left(decided), decided.oldestDelete, decided.keptBytes], [[1], at(1), 0])
    }
  })

  it("of several records: stays whole while one of them is the newest, and names what its deletes are needed for", () => {
    const batch = batchOf([put("k"), put("l")], del("k"))
    const k = pointer("k", log, 2, 2, true)
    const live = decide(batch, { k: both(k), l: both(pointer("l", log, 1, 1)) }, { forgetBefore: at(2) })
    assert.deepStrictEqual(left(live), [1, 2])
    assert.deepStrictEqual(
      live.needed.map(({ forLive, key }) => [key.key, forLive]),
      [["k", true]]
    )
    const needed = new Set([RecordKey.keyOf("ns", "k")])
    const options = { forgetBefore: at(9), isNeeded: (ns: string, key: string) => needed.has(RecordKey.keyOf(ns, key)) }
    const held = decide(batch, { k: both(k), l: both(pointer("l", log, 1, 1)) }, options)
    assert.deepStrictEqual(left(held), [1, 2])
  })

  it("NoResurrection: of several records that stays for a delete alone: what a delete deleted in it is left until it goes", () => {
    const batch = batchOf([put("k"), del("l")])
    const known = { k: both(pointer("k", other, 5, 50, true)), l: both(pointer("l", log, 1, 1, true)) }
    assert.deepStrictEqual(decide(batch, known).oldestLeft, at(50))
    // Where the delete has to stay for something live, and where something live is beside it, that may be for ever.
    const isNeeded = (_: string, key: string) => key === "l"
    assert.isUndefined(decide(batch, known, { isNeeded, isNeededForLive: isNeeded }).oldestLeft)
    // Where it stays for what will go, others let it go before this one.
    assert.deepStrictEqual(decide(batch, known, { isNeeded }).oldestLeft, at(50))
    const live = batchOf([put("k"), del("l"), put("m")])
    assert.isUndefined(decide(live, { ...known, m: both(pointer("m", log, 1, 1)) }).oldestLeft)
    const gone = decide(batch, known, { forgetBefore: at(2) })
    assert.deepStrictEqual([left(gone), gone.oldestLeft], [[], undefined])
    assert.deepStrictEqual(
      gone.released.map(({ after, key }) => [key.key, after]),
      [["k", at(1000)]],
      "nobody has swept so far yet"
    )
  })

  it("of several records that all are superseded: goes, and says after which clock their deletes may follow", () => {
    const batch = batchOf([put("k"), put("l")], del("k"))
    const known = { k: both(pointer("k", log, 2, 2, true)), l: both(pointer("l", other, 5, 50)) }
    const gone = decide(batch, known, { forgetBefore: at(2) })
    assert.deepStrictEqual(left(gone), [2])
    assert.deepStrictEqual(
      gone.released.map(({ after, key }) => [key.key, after]),
      [["k", at(50)]]
    )
  })

  it("L37 leaves nothing of a key that is older than a delete that goes", () => {
    // All histories of one key over three entries in two logs, looked at by a member that knows all of them.
    const kinds = [put("k"), del("k")]
    for (let code = 0; code < 8; code++) {
      const writes = [0, 1, 2].map((i) => kinds[(code >> i) & 1]!)
      const batch = batchOf(...writes)
      const newest = pointer("k", log, 3, 3, writes[2]!.kind === "delete")
      for (let forget = 0; forget <= 4; forget++) {
        const decided = decide(batch, { k: both(newest) }, { forgetBefore: at(forget) })
        const isForgotten = newest.deleted && forget > 3
        assert.deepStrictEqual(left(decided), isForgotten ? [] : [3])
      }
    }
  })

  it("are decided in steps, however many records an entry has", () => {
    const keys = Array.from({ length: 40_000 }, (_, i) => `k${i}`)
    const batch = batchOf(keys.map((key) => put(key)) as [Entry.Write])
    const newest = both(pointer("k", other, 9, 9))
    const options = {
      log,
      frontier: 100,
      forgetBefore: undefined,
      isNeeded: () => false,
      isNeededForLive: () => false,
      now: at(1),
      known: keys.map(() => newest)
    }
    const { count, result } = inSteps(Fates.decide(batch, options))
    assert.isAbove(count, 40_000 / 1000)
    assert.deepStrictEqual(left(result), [])
    let asked = 0
    for (const { key } of Fates.keysOf(batch)) if (asked++ === 10) assert.strictEqual(key, "k10")
    assert.strictEqual(asked, 40_000)
  })
})
