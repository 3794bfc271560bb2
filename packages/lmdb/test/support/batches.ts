/** What the program of the tests appends: the place where a log ends decides it. */
import { Entry, HybridLogicalClock } from "@quorum/core"
import { EntryBatch, type Watermark } from "@quorum/core/adapter"

/** One to seven entries, of up to 10 kB each. */
export const batchAfter = (head: Watermark.Watermark): EntryBatch.EntryBatch => {
  const { seq } = head
  const writes = Array.from({ length: 1 + (seq % 7) }, (_, i) =>
    Entry.put("ns", `key ${seq + 1 + i}`, `${seq + 1 + i}`.padEnd((seq % 11) * 1000))
  )
  return EntryBatch.encode(head, writes, HybridLogicalClock.zero, 1_700_000_000_000 + seq).batch
}

/** Whether an entry is one of those that are erased. */
export const isErased = (seq: number): boolean => seq % 4 !== 0

/** A batch without them. */
export const erased = (batch: EntryBatch.EntryBatch): EntryBatch.EntryBatch =>
  EntryBatch.erase(batch, (seq) => (isErased(seq) ? "superseded" : "kept"))
