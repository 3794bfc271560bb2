/**
 * Whether the record index knows of what the logs hold. A damaged pointer is found when it is read; one whose key is damaged
 * is read by nobody who asks for that key. Its record would be hidden until its next write.
 */
import { Effect, Option } from "effect"
import * as Entry from "../log/Entry.ts"
import * as EntryBatch from "../log/EntryBatch.ts"
import * as Erased from "../log/Erased.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import { StoreError } from "../log/ReplicaStore.ts"
import * as Version from "../log/Version.ts"
import { IndexFollower } from "./IndexFollower.ts"
import * as RecordIndex from "./RecordIndex.ts"
import * as RecordKey from "./RecordKey.ts"

/**
 * Makes what looks up the records of a batch that was read from the logs. An index that does not know one of them is thrown
 * away and built again. Fails as the reads of the logs and the index do.
 */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const follower = yield* IndexFollower

  const unknownIn = Effect.fnUntraced(function* (batch: EntryBatch.EntryBatch) {
    const writes = newestIn(batch)
    for (let i = 0; i < writes.length; i += turnKeys) {
      if (i > 0) yield* Effect.yieldNow
      const turn = writes.slice(i, i + turnKeys)
      const found = yield* follower.newestOf(turn)
      const unknown = turn.find((write, j) => !isKnown(write, found[j]!.newest))
      if (unknown !== undefined) return unknown
    }
    return undefined
  })

  return Effect.fnUntraced(function* (batch: EntryBatch.EntryBatch) {
    const write = yield* unknownIn(batch)
    if (write === undefined) return
    const { log, seq } = write
    // It may have been erased before it was looked up, and all that was known of its key with it.
    const held = Option.getOrUndefined(yield* logs.read(log, seq - 1, 1))
    if (held === undefined || Erased.is(held.bytes, 0)) return
    if (Version.compare(Entry.stampAt(held.bytes, 0), write) !== 0) return
    yield* follower.distrust(new StoreError({ reason: "corrupt", detail: unknownWrite(write) }))
  })
})

/** Whether this can be the newest that is known of a key, of which a write is held. A delete may be forgotten. */
export const isKnown = (held: RecordIndex.Pointer, newest: RecordIndex.Pointer | undefined): boolean => {
  if (newest === undefined) return held.deleted
  const order = RecordIndex.compare(newest, held)
  return order > 0 || (order === 0 && newest.deleted === held.deleted)
}

/**
 * What is wrong with an index, in words, that answers these newest pointers of the keys of some writes that are held;
 * `undefined` when nothing is. For who looks at the files of a replica that does not run.
 */
export const faultOf = (
  writes: ReadonlyArray<RecordIndex.Pointer>,
  newest: ReadonlyArray<RecordIndex.Pointer | undefined>
): string | undefined => {
  const unknown = writes.find((write, i) => !isKnown(write, newest[i]))
  return unknown && unknownWrite(unknown)
}

/** The newest write in a batch of each of its keys. */
export const newestIn = (batch: EntryBatch.EntryBatch): ReadonlyArray<RecordIndex.Pointer> => {
  const { bytes, log } = batch
  const found = new Map<string, RecordIndex.Pointer>()
  EntryBatch.forEach(batch, (seq, offset) => {
    const { clock, tie } = Entry.stampAt(bytes, offset)
    const end = Entry.endUnsafe(bytes, offset)
    for (let at = Entry.firstRecord(offset); at < end; at = Entry.nextRecord(bytes, at)) {
      const { key, kind, namespace } = Entry.headerAt(bytes, at)
      const write = { namespace, key, log, seq, clock, tie, deleted: kind === "delete" }
      const id = RecordKey.keyOf(namespace, key)
      const known = found.get(id)
      // Of two records of a key in one entry the later counts.
      if (known === undefined || RecordIndex.compare(write, known) >= 0) found.set(id, write)
    }
  })
  return Array.from(found.values())
}

// ---------------------------------------------------------------------------------------------------------------------

const unknownWrite = ({ log, seq }: RecordIndex.Pointer): string =>
  `the index knows nothing of a record in entry ${seq} of ${log}, or something older`

/** After how many keys others have their turn. */
const turnKeys = 32
