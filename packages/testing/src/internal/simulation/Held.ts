/**
 * Entries as disks hold them, by the ids of their writes; and those that disks have erased, which counted as held when
 * they were.
 */
import { Entry, type LogId, WriteId } from "@quorum/core"
import { EntryBatch, type Version } from "@quorum/core/adapter"

/** An entry as a disk holds it. */
export interface Held extends Version.Version {
  readonly log: LogId.LogId
  readonly seq: number
  /** The id of the write that it is. */
  readonly id: WriteId.WriteId
  readonly entry: Entry.Entry
}

/** The entries that some disk has erased, by their places. */
export type Erased = Map<string, Held>

/** The name of a place among the erased. */
export const placeOf = (log: LogId.LogId, seq: number): string => `${log}:${seq}`

/** The entries of a batch, and of those that are erased in it what they were. */
export const ofBatch = (batch: EntryBatch.EntryBatch, erased: Erased): ReadonlyArray<Held> => {
  const { bytes, log } = batch
  const found: Array<Held> = []
  EntryBatch.forEachElement(batch, ({ chain, from, isErased, offset, to }) => {
    if (!isErased) {
      const entry = Entry.decodeAt(bytes, offset)
      const id = WriteId.make(log, from, chain.high)
      found.push({ log, seq: from, id, entry, clock: entry.clock, tie: entry.tie })
      return
    }
    for (let seq = from; seq <= to; seq++) {
      const gone = erased.get(placeOf(log, seq))
      if (gone !== undefined) found.push(gone)
    }
  })
  return found
}
