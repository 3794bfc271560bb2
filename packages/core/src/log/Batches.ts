/**
 * The batches of a log in memory, in order and without a gap between them, for stores that keep them so.
 */
import * as EntryBatch from "./EntryBatch.ts"

/** Batches of one log, each of which follows the one before. */
export type Batches = ReadonlyArray<EntryBatch.EntryBatch>

/** Which of them has an entry; the last, where none has. */
export const indexOf = (batches: Batches, seq: number): number => {
  let low = 0
  let high = batches.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (EntryBatch.last(batches[middle]!) < seq) low = middle + 1
    else high = middle
  }
  return low
}

/** The entries after one that is not their last: as many as fit in `maxBytes`, but at least one. */
export const read = (batches: Batches, after: number, maxBytes: number): EntryBatch.EntryBatch => {
  let i = indexOf(batches, after + 1)
  const found: [EntryBatch.EntryBatch, ...Array<EntryBatch.EntryBatch>] = [EntryBatch.after(batches[i]!, after)]
  let size = found[0].bytes.length
  while (++i < batches.length && size < maxBytes) {
    found.push(batches[i]!)
    size += batches[i]!.bytes.length
  }
  return EntryBatch.take(EntryBatch.concat(found), maxBytes)
}

/**
 * The batches with one in the place of what they have at its places, or after their end. A batch that begins or ends among
 * erased entries changes nothing: what is there cannot be cut, and stands for the same entries.
 */
export const put = (batches: Batches, batch: EntryBatch.EntryBatch): Batches => {
  const { from } = batch
  const to = EntryBatch.last(batch)
  const before = batches.filter((held) => held.from < from).map((held) => EntryBatch.upTo(held, from - 1))
  const after = batches.filter((held) => EntryBatch.last(held) > to).map((held) => EntryBatch.after(held, to))
  const end = before.at(-1)
  const isCut = (end === undefined || EntryBatch.last(end) === from - 1) && (after[0]?.from ?? to + 1) === to + 1
  return isCut ? [...before, batch, ...after] : batches
}

/** The beginning of the batches, up to an entry that is not erased together with the next. */
export const upTo = (batches: Batches, seq: number): Batches =>
  batches.filter(({ from }) => from <= seq).map((batch) => EntryBatch.upTo(batch, seq))
