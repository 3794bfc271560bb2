/**
 * Goes through the keys of a batch a few at a time, with their hashes made: whoever looks up many can have the memory that
 * they need come nearer together.
 */
import * as Entry from "../../log/Entry.ts"
import type * as EntryBatch from "../../log/EntryBatch.ts"
import * as Erased from "../../log/Erased.ts"
import * as KeyHash from "./KeyHash.ts"

/** How many keys come at once, so that what they need fits into the cache that is nearest. */
const maxAtOnce = 128

/** Keys that come next, of one batch. */
const upcoming = {
  count: 0,
  /** Where in the batch their records are. */
  record: new Int32Array(maxAtOnce),
  /** Where the versions of their entries are. */
  version: new Int32Array(maxAtOnce),
  /** The numbers of their entries, from 0. */
  entry: new Int32Array(maxAtOnce),
  hash: new Int32Array(maxAtOnce)
}

/** Keys that come next, of one batch: good until the next ones come. */
export type UpcomingKeys = Readonly<typeof upcoming>

/** Has all keys of a batch taken in, in their order. */
export const forEach = (
  batch: EntryBatch.EntryBatch,
  take: (batch: EntryBatch.EntryBatch, keys: UpcomingKeys) => void
): void => {
  const { bytes, count } = batch
  let found = 0
  let at = 0
  for (let i = 0; i < count; i++) {
    if (Erased.is(bytes, at)) {
      i += Erased.countAt(bytes, at) - 1
      at += Erased.size
      continue
    }
    const after = Entry.endUnsafe(bytes, at)
    const version = at + Entry.versionAt
    for (at = Entry.firstRecord(at); at < after; at = Entry.nextRecord(bytes, at)) {
      upcoming.record[found] = at
      upcoming.version[found] = version
      upcoming.entry[found] = i
      upcoming.hash[found] = KeyHash.ofHead(bytes, at, Entry.headLength(bytes, at))
      if (++found < maxAtOnce) continue
      upcoming.count = found
      take(batch, upcoming)
      found = 0
    }
  }
  upcoming.count = found
  take(batch, upcoming)
}
