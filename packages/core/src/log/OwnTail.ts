/**
 * The newest batches of the own log, oldest first, in memory for the replicators; dropped from the front when they take
 * too many bytes.
 */
import * as CheckedBatch from "./CheckedBatch.ts"
import * as EntryBatch from "./EntryBatch.ts"
import type { Watermark } from "./Watermark.ts"

/** How many bytes of the newest own entries are kept in memory for the replicators. */
const tailBytes = 8 * 1024 * 1024

/** Starts with none. */
export const make = () => {
  let batches: Array<EntryBatch.EntryBatch | undefined> = []
  let first = 0
  let size = 0
  /** Those of batches of which single entries are read: whoever reads a key that was just written does. */
  const places = new WeakMap<EntryBatch.EntryBatch, CheckedBatch.CheckedBatch>()
  const rest = (batch: EntryBatch.EntryBatch, after: number): EntryBatch.EntryBatch => {
    if (after < batch.from) return batch
    const known = places.get(batch) ?? CheckedBatch.make(batch)!
    places.set(batch, known)
    return CheckedBatch.part(known, after + 1, Infinity)
  }
  return {
    /** The end of the newest batch, whether it is durable or not. */
    end: (): Watermark | undefined => {
      const newest = batches[batches.length - 1]
      return newest === undefined ? undefined : EntryBatch.watermark(newest)
    },
    push: (batch: EntryBatch.EntryBatch): void => {
      batches.push(batch)
      size += batch.bytes.buffer.byteLength
      while (size > tailBytes && first < batches.length - 1) {
        size -= batches[first]!.bytes.buffer.byteLength
        batches[first++] = undefined
      }
      if (first > 1024) {
        batches = batches.slice(first)
        first = 0
      }
    },
    /** Forgets the batches that begin with an entry up to this one: the store has them, without what was erased. */
    forget: (upTo: number): void => {
      while (first < batches.length && batches[first]!.from <= upTo) {
        size -= batches[first]!.bytes.buffer.byteLength
        batches[first++] = undefined
      }
    },
    read: (after: number, maxBytes: number): EntryBatch.EntryBatch | undefined => {
      let low = first
      let high = batches.length - 1
      while (low < high) {
        const middle = (low + high) >>> 1
        if (EntryBatch.last(batches[middle]!) <= after) low = middle + 1
        else high = middle
      }
      const found = batches[low]
      if (found === undefined || low < first || found.from > after + 1 || EntryBatch.last(found) <= after) {
        return undefined
      }
      const run: [EntryBatch.EntryBatch, ...Array<EntryBatch.EntryBatch>] = [rest(found, after)]
      let bytes = run[0].bytes.length
      for (let i = low + 1; i < batches.length && bytes + batches[i]!.bytes.length <= maxBytes; i++) {
        run.push(batches[i]!)
        bytes += batches[i]!.bytes.length
      }
      return EntryBatch.take(EntryBatch.concat(run), maxBytes)
    }
  }
}
