/**
 * The bad disk under a store in memory: entries that cannot be read. They are found when they are read, and the end of a
 * log at once.
 */
import type { LogId } from "../identity/LogId.ts"
import { type DamagedRange, without } from "./DamagedRange.ts"
import * as EntryBatch from "./EntryBatch.ts"

/** Begins with nothing damaged. */
export const make = () => {
  const bad = new Map<LogId, Set<number>>()
  let ranges: ReadonlyArray<DamagedRange> = []
  const isAt = (log: LogId, seq: number): boolean => bad.get(log)?.has(seq) ?? false
  const found = (log: LogId, seq: number): void => {
    const known = ranges.some((range) => range.log === log && range.from === seq)
    if (!known) ranges = [...ranges, { log, from: seq, to: seq }]
  }
  return {
    isAt,
    /** Names an entry as damaged. */
    found,
    all: (): ReadonlyArray<DamagedRange> => ranges,
    make: (log: LogId, seq: number, head: number): void => {
      bad.set(log, new Set(bad.get(log)).add(seq))
      if (seq === head) found(log, seq)
    },
    /** Entries can be read again, or are gone. */
    mend: (mended: DamagedRange): void => {
      for (let seq = mended.from; seq <= mended.to; seq++) bad.get(mended.log)?.delete(seq)
      ranges = without(ranges, mended)
    },
    /** Whether nobody can tell the chain after an entry: it is damaged, and so is the one that begins with that chain. */
    hides: (log: LogId, seq: number, head: number): boolean => isAt(log, seq) && (seq === head || isAt(log, seq + 1)),
    /** The entries of a batch before the first that is damaged, which is not its first. */
    upTo: (batch: EntryBatch.EntryBatch): EntryBatch.EntryBatch => {
      let room: number | undefined
      EntryBatch.forEach(batch, (seq, offset) => {
        if (room !== undefined || !isAt(batch.log, seq)) return
        room = offset
        found(batch.log, seq)
      })
      return room === undefined ? batch : EntryBatch.take(batch, room)
    }
  }
}
