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
    /** Entries cannot be read: `from … to`, one or such as are erased together, of a log that ends at `head`. */
    make: ({ from, log, to }: DamagedRange, head: number): void => {
      const seqs = new Set(bad.get(log))
      for (let seq = from; seq <= to; seq++) seqs.add(seq)
      bad.set(log, seqs)
      if (to === head) found(log, to)
    },
    /** Entries can be read again, or are gone. */
    mend: (mended: DamagedRange): void => {
      const seqs = bad.get(mended.log)
      for (const seq of seqs ?? []) if (mended.from <= seq && seq <= mended.to) seqs!.delete(seq)
      ranges = without(ranges, mended)
    },
    /** Whether nobody can tell the chain after an entry: it is damaged, and so is the one that begins with that chain. */
    hides: (log: LogId, seq: number, head: number): boolean => isAt(log, seq) && (seq === head || isAt(log, seq + 1)),
    /** The entries of a batch before the first that is damaged, which is not its first. */
    upTo: (batch: EntryBatch.EntryBatch): EntryBatch.EntryBatch => {
      const to = EntryBatch.last(batch)
      let first = Infinity
      for (const seq of bad.get(batch.log) ?? []) if (batch.from <= seq && seq <= to) first = Math.min(first, seq)
      if (first === Infinity) return batch
      found(batch.log, first)
      return EntryBatch.upTo(batch, first - 1)
    }
  }
}
