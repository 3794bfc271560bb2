/**
 * Entries of a log that are held and cannot be read.
 */
import { Schema } from "effect"
import * as LogId from "../identity/LogId.ts"

/** Entries `from … to` of a log that are held and cannot be read: their bytes do not fit the chain. */
export const DamagedRange = Schema.Struct({ log: LogId.LogId, from: LogId.Sequence, to: LogId.Sequence })

/** Entries of a log that are held and cannot be read. */
export type DamagedRange = typeof DamagedRange.Type

/** Whether two ranges share an entry. */
export const overlaps = (a: DamagedRange, b: DamagedRange): boolean =>
  a.log === b.log && a.from <= b.to && b.from <= a.to

/** Whether a range has all the entries of another. */
export const contains = (range: DamagedRange, other: DamagedRange): boolean =>
  range.log === other.log && range.from <= other.from && other.to <= range.to

/** The ranges without the entries of one that can be read again. */
export const without = (ranges: ReadonlyArray<DamagedRange>, mended: DamagedRange): ReadonlyArray<DamagedRange> =>
  ranges.flatMap((range) => {
    if (!overlaps(range, mended)) return [range]
    const before = range.from < mended.from ? [{ ...range, to: mended.from - 1 }] : []
    return mended.to < range.to ? [...before, { ...range, from: mended.to + 1 }] : before
  })

/** The ranges in the order of their places, those that touch one another as one. */
export const joined = (ranges: ReadonlyArray<DamagedRange>): ReadonlyArray<DamagedRange> => {
  const all: Array<DamagedRange> = []
  for (const range of [...ranges].sort((a, b) => (a.log === b.log ? a.from - b.from : a.log < b.log ? -1 : 1))) {
    const last = all[all.length - 1]
    if (last === undefined || last.log !== range.log || range.from > last.to + 1) all.push(range)
    else all[all.length - 1] = { ...last, to: Math.max(last.to, range.to) }
  }
  return all
}
