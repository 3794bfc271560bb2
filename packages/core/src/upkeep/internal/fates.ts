/**
 * What becomes of the entries of a log when it is compacted. Pure: what is known of their keys is given.
 */
import type * as LogId from "../../identity/LogId.ts"
import * as Entry from "../../log/Entry.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import type * as Version from "../../log/Version.ts"
import * as RecordIndex from "../../record/RecordIndex.ts"
import * as RecordKey from "../../record/RecordKey.ts"

type Clock = HybridLogicalClock.HybridLogicalClock

/** What is known of a key. */
export interface Newest {
  /** Its newest write here. */
  readonly newest: RecordIndex.Pointer | undefined
  /** A write of it that every member holds, as new as is known of; it need not be the newest. */
  readonly everywhere: RecordIndex.Pointer | undefined
}

/** What is asked about the entries of a batch. */
export interface Situation {
  readonly log: LogId.LogId
  /** Of a key in the batch. */
  readonly of: (namespace: string, key: string) => Newest
  /** Up to where every member holds the log. What is after it stays. */
  readonly frontier: number
  /** Deletes before this clock may go, because nobody holds anything that they deleted; none may when there is none. */
  readonly forgetBefore: Clock | undefined
  /** Keys whose deletes stay: something that they deleted stands in an entry of several records that has to stay. */
  readonly isNeeded: (namespace: string, key: string) => boolean
}

/** What was decided about the entries of a batch. */
export interface Decided {
  readonly batch: EntryBatch.EntryBatch
  /** Deletes that go: their pointers have to go before. */
  readonly forgotten: ReadonlyArray<RecordIndex.Pointer>
  /** Bytes of entries that go, that stay, and that stay only until more is known. */
  readonly goneBytes: number
  readonly keptBytes: number
  readonly waitingBytes: number
  /** The oldest entry that is superseded and stays all the same. */
  readonly oldestLeft: Clock | undefined
  /** The oldest delete that stays. */
  readonly oldestDelete: Clock | undefined
  /** Deleted keys of which an older record stays in an entry of several records. */
  readonly needed: ReadonlyArray<RecordKey.RecordKey>
  /** Keys of entries of several records that go, which are deleted: with the newest of the writes that let the entry go. */
  readonly released: ReadonlyArray<{ readonly key: RecordKey.RecordKey; readonly after: Clock }>
}

/** What becomes of a record: `left` is superseded, and not yet by anything that every member holds. */
type Fate = "kept" | "superseded" | "deleted" | "left"

/** Decides about all entries of a batch. */
export const decide = (whole: EntryBatch.EntryBatch, situation: Situation): Decided => {
  const { forgetBefore, frontier, isNeeded, log, of } = situation
  const { bytes } = whole
  const forgotten: Array<RecordIndex.Pointer> = []
  const needed: Array<RecordKey.RecordKey> = []
  const released: Array<{ readonly key: RecordKey.RecordKey; readonly after: Clock }> = []
  let goneBytes = 0
  let keptBytes = 0
  let waitingBytes = 0
  let oldestLeft: Clock | undefined
  let oldestDelete: Clock | undefined

  const fateOfRecord = (place: Place, header: Entry.Header, { everywhere, newest }: Newest): Fate => {
    if (newest === undefined) return header.kind === "delete" ? "deleted" : "kept"
    if (isPlace(newest, place)) {
      const isOld = forgetBefore !== undefined && HybridLogicalClock.compare(place.clock, forgetBefore) < 0
      return newest.deleted && isOld && !isNeeded(header.namespace, header.key) ? "deleted" : "kept"
    }
    if (RecordIndex.compare(newest, place) < 0) return "kept"
    return everywhere !== undefined && RecordIndex.compare(everywhere, place) > 0 ? "superseded" : "left"
  }

  const fateOf = (seq: number, offset: number): EntryBatch.Fate => {
    const end = Entry.endUnsafe(bytes, offset)
    const size = end - offset
    const { clock, tie } = Entry.stampAt(bytes, offset)
    const place: Place = { log, seq, clock, tie }
    const records: Array<{ readonly header: Entry.Header; readonly known: Newest; readonly fate: Fate }> = []
    for (let at = Entry.firstRecord(offset); at < end; at = Entry.nextRecord(bytes, at)) {
      const header = Entry.headerAt(bytes, at)
      const known = of(header.namespace, header.key)
      records.push({ header, known, fate: fateOfRecord(place, header, known) })
    }
    const isGoing = records.every(({ fate }) => fate === "superseded" || fate === "deleted")
    if (isGoing && seq <= frontier) {
      goneBytes += size
      const after = latest(
        records.flatMap(({ known }) => (known.everywhere === undefined ? [] : [known.everywhere.clock]))
      )
      for (const { fate, header, known } of records) {
        if (fate === "deleted" && known.newest !== undefined) forgotten.push(known.newest)
        const isDeleted = records.length > 1 && fate === "superseded" && known.newest?.deleted === true
        if (isDeleted && after !== undefined) released.push({ key: header, after })
      }
      return records.some(({ fate }) => fate === "deleted") ? "deleted" : "superseded"
    }
    const isLive = records.some(({ fate, known }) => fate === "kept" && known.newest?.deleted !== true)
    if (isLive) keptBytes += size
    else waitingBytes += size
    // What could go, and does not yet, is not swept; what has to stay for another of its records is no question.
    if (records.every(({ fate }) => fate !== "kept")) oldestLeft = earlier(oldestLeft, clock)
    for (const { fate, header, known } of records) {
      if ((fate === "superseded" || fate === "left") && known.newest?.deleted === true) needed.push(header)
      const isDelete = fate === "kept" && known.newest?.deleted === true
      if (isDelete && !isNeeded(header.namespace, header.key)) oldestDelete = earlier(oldestDelete, clock)
    }
    return "kept"
  }

  const batch = EntryBatch.erase(whole, fateOf)
  return { batch, forgotten, goneBytes, keptBytes, waitingBytes, oldestLeft, oldestDelete, needed, released }
}

/** The keys of a batch, each once. */
export const keysOf = (batch: EntryBatch.EntryBatch): ReadonlyMap<string, RecordKey.RecordKey> => {
  const keys = new Map<string, RecordKey.RecordKey>()
  const { bytes } = batch
  EntryBatch.forEach(batch, (_, offset) => {
    const end = Entry.endUnsafe(bytes, offset)
    for (let at = Entry.firstRecord(offset); at < end; at = Entry.nextRecord(bytes, at)) {
      const { key, namespace } = Entry.headerAt(bytes, at)
      keys.set(RecordKey.keyOf(namespace, key), { namespace, key })
    }
  })
  return keys
}

/** The earlier of two clocks, of which the first may be none. */
export const earlier = (a: Clock | undefined, b: Clock): Clock =>
  a === undefined || HybridLogicalClock.compare(b, a) < 0 ? b : a

// ---------------------------------------------------------------------------------------------------------------------

interface Place extends Version.Version {
  readonly log: LogId.LogId
  readonly seq: number
}

const isPlace = (pointer: RecordIndex.Pointer, { log, seq }: Place): boolean =>
  pointer.log === log && pointer.seq === seq

const latest = (clocks: ReadonlyArray<Clock>): Clock | undefined =>
  clocks.reduce<Clock | undefined>(
    (found, clock) => (found === undefined || HybridLogicalClock.compare(clock, found) > 0 ? clock : found),
    undefined
  )
