/** Which deletes are forgotten by members that compact the same entries at different times, and are started again. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, type HybridLogicalClock, type LogId } from "../src/index.ts"
import { EntryBatch, RecordIndex, RunId, Watermark } from "../src/adapter.ts"
import * as Fates from "../src/upkeep/internal/fates.ts"
import * as KeptDeletes from "../src/upkeep/internal/KeptDeletes.ts"

type Clock = HybridLogicalClock.HybridLogicalClock
const log = "a@0000000000000001" as LogId.LogId
const at = (wallTime: number): Clock => ({ wallTime, logical: 0 })

/** Whole numbers below `n`, the same for the same seed. */
const diceOf = (seed: number) => {
  let state = seed
  return (n: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) + 0x9e37_79b9) | 0
    state = Math.imul(state ^ (state >>> 12), 0x297a_2d39)
    return ((state ^ (state >>> 15)) >>> 0) % n
  }
}
type Dice = ReturnType<typeof diceOf>

/** Entries of one to three records of few keys, with these clocks. */
const entriesOf = (dice: Dice, after: Watermark.Watermark, clocks: ReadonlyArray<number>): EntryBatch.EntryBatch => {
  const writes = clocks.map((): Entry.Writes => {
    const keys = ["k", "l", "m", "n"].sort(() => dice(3) - 1).slice(0, 1 + dice(3))
    const [first, ...rest] = keys.map((key) => (dice(2) === 0 ? Entry.put("ns", key, "v") : Entry.remove("ns", key)))
    return rest.length === 0 ? first! : [first!, ...rest]
  })
  const stampOf = (i: number) => ({ clock: at(clocks[i]!), tie: RunId.none, unprobed: false })
  return EntryBatch.encodeStamped(after, writes, stampOf).batch
}

/** The numbers from 1 on, in any order: clocks within a log need not rise. */
const mixed = (dice: Dice, size: number): ReadonlyArray<number> => {
  const numbers = Array.from({ length: size }, (_, i) => i + 1)
  for (let i = size - 1; i > 0; i--) {
    const j = dice(i + 1)
    ;[numbers[i], numbers[j]] = [numbers[j]!, numbers[i]!]
  }
  return numbers
}

/** The records in a batch, and where they lead. */
const recordsOf = (batch: EntryBatch.EntryBatch): ReadonlyArray<RecordIndex.Pointer> => {
  const found: Array<RecordIndex.Pointer> = []
  EntryBatch.forEach(batch, (seq, offset) => {
    const { clock, records, tie } = Entry.decodeAt(batch.bytes, offset)
    for (const { key, kind, namespace } of records)
      found.push({ namespace, key, log, seq, clock, tie, deleted: kind === "delete" })
  })
  return found
}

const newestOf = (batch: EntryBatch.EntryBatch): Map<string, RecordIndex.Pointer> => {
  const newest = new Map<string, RecordIndex.Pointer>()
  for (const pointer of recordsOf(batch)) {
    const before = newest.get(pointer.key)
    if (before === undefined || RecordIndex.compare(pointer, before) > 0) newest.set(pointer.key, pointer)
  }
  return newest
}

const earlier = (a: Clock, b: Clock): Clock => (a.wallTime <= b.wallTime ? a : b)
const later = (a: Clock, b: Clock): Clock => (a.wallTime >= b.wallTime ? a : b)

/** A member, in one run of its process: see `Compaction` and `Sweeps`. */
const memberOf = (batch: EntryBatch.EntryBatch, members: number, unknownBefore: Clock) => ({
  batch,
  index: newestOf(batch),
  kept: KeptDeletes.make(1 << 20),
  own: at(0),
  /** How far each member has swept, as it was heard of last. */
  heard: Array.from({ length: members }, () => at(0)),
  unknownBefore
})
type Member = ReturnType<typeof memberOf>

const forgettable = ({ heard, own, unknownBefore }: Member, self: number): Clock | undefined => {
  const least = heard.reduce((a, b, i) => (i === self ? a : earlier(a, b)), own)
  return least.wallTime > unknownBefore.wallTime ? least : undefined
}

/** A round: returns the deletes that it forgets. */
const round = (member: Member, self: number, stable: Clock): ReadonlyArray<RecordIndex.Pointer> => {
  const { index, kept } = member
  const forgetBefore = kept.begin(forgettable(member, self))
  const situation: Fates.Situation = {
    log,
    known: Array.from(Fates.keysOf(member.batch), ({ key }) => ({
      newest: index.get(key),
      everywhere: index.get(key),
      isSettled: true
    })),
    frontier: EntryBatch.last(member.batch),
    forgetBefore,
    isNeeded: (namespace, key) => kept.isNeeded({ namespace, key }),
    isNeededForLive: (namespace, key) => kept.isNeededForLive({ namespace, key }),
    now: stable
  }
  const steps = Fates.decide(member.batch, situation)
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  const { batch, forgotten, needed, oldestLeft, released } = step.value
  for (const { key } of forgotten) index.delete(key)
  member.batch = batch
  for (const { forLive, key } of needed) kept.needs(key, forLive)
  for (const { after, key } of released) kept.releases(key, after)
  kept.end()
  member.own = later(member.own, oldestLeft === undefined ? stable : earlier(stable, oldestLeft))
  return forgotten
}

/** What three members do with the same entries: what is still held of what somebody forgot the delete of. */
const run = (seed: number): { readonly held: string | undefined; readonly forgotten: number } => {
  const dice = diceOf(seed)
  const size = 3 + dice(5)
  const all = entriesOf(dice, Watermark.none(log), mixed(dice, size))
  let latest = at(size)
  const members = Array.from({ length: 3 }, () => memberOf(all, 3, at(0)))
  let forgotten = 0
  for (let step = 0; step < 60; step++) {
    const self = dice(3)
    const member = members[self]!
    const what = dice(9)
    if (what === 8) {
      latest = at(size + 1 + step)
      const more = entriesOf(dice, EntryBatch.watermark(member.batch), [latest.wallTime])
      for (const each of members) {
        each.batch = EntryBatch.concat([each.batch, more])
        for (const [key, pointer] of newestOf(more)) each.index.set(key, pointer)
      }
    } else if (what === 0) {
      const { batch, heard, index } = member
      // Others answer at once with what they have said, and the index is built again now and then.
      members[self] = { ...memberOf(batch, 3, latest), heard }
      if (dice(2) === 0) members[self].index = index
    } else if (what < 4) {
      const other = dice(3)
      member.heard[other] = later(member.heard[other]!, members[other]!.own)
    } else {
      for (const pointer of round(member, self, at(size + 1 + step))) {
        forgotten++
        const holder = members.findIndex(({ batch }) =>
          recordsOf(batch).some(
            (record) => record.key === pointer.key && !record.deleted && RecordIndex.compare(record, pointer) < 0
          )
        )
        if (holder >= 0) return { held: `seed ${seed}: ${self} forgets ${pointer.key}, held by ${holder}`, forgotten }
      }
    }
  }
  return { held: undefined, forgotten }
}

describe("deletes among entries of several records", () => {
  it("NoResurrection: are forgotten only where no member holds what they deleted, however entries share their keys", () => {
    let forgotten = 0
    for (let seed = 1; seed <= 3000; seed++) {
      const { forgotten: more, held } = run(seed)
      assert.isUndefined(held)
      forgotten += more
    }
    assert.isAbove(forgotten, 1000)
  })
})
