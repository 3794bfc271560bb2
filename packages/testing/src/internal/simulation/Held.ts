/**
 * Entries as disks hold them, by the ids of their writes; and those that disks have erased, which counted as held when
 * they were.
 */
import { Entry, type LogId, WriteId } from "@quorum/core"
import { Chain, EntryBatch, type Version } from "@quorum/core/adapter"

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
  const view = Chain.viewOf(bytes)
  const chain = Chain.state(batch.prevChain)
  let seq = batch.from
  for (let at = 0; at < bytes.length; at = Entry.endUnsafe(bytes, at)) {
    const isEntry =
      EntryBatch.erasedAt({ ...batch, bytes: bytes.subarray(at, Entry.endUnsafe(bytes, at)) }) === undefined
    const places = EntryBatch.goOver(chain, bytes, view, at)
    if (isEntry) {
      const id = WriteId.make(log, seq, chain.high)
      const entry = Entry.decodeAt(bytes, at)
      found.push({ log, seq, id, entry, clock: entry.clock, tie: entry.tie })
    } else {
      for (let i = 0; i < places; i++) {
        const gone = erased.get(placeOf(log, seq + i))
        if (gone !== undefined) found.push(gone)
      }
    }
    seq += places
  }
  return found
}
