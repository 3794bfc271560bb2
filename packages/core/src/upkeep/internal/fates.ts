/**
 * What becomes of the entries of a log when it is compacted. Pure: what is known of their keys is given.
 */
import type * as LogId from "../../identity/LogId.ts"
import * as Entry from "../../log/Entry.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import type * as Version from "../../log/Version.ts"
import * as RecordIndex from "../../record/RecordIndex.ts"
import type * as RecordKey from "../../record/RecordKey.ts"

type Clock = HybridLogicalClock.HybridLogicalClock

/** What is known of a key. */
export interface Newest {
  /** Its newest write here. */
  readonly newest: RecordIndex.Pointer | undefined
  /** A write of it that every member holds, as new as is known of; it need not be the newest. */
  readonly everywhere: RecordIndex.Pointer | undefined
  /**
   * No write of it waits to be taken into the index. One that does may be older than a delete that the index has: were
   * that forgotten first, the index would end with a pointer to what is gone.
   */
  readonly isSettled: boolean
}

/** What is asked about the entries of a batch. */
export interface Situation {
  readonly log: LogId.LogId
  /** Of the keys of the batch, as {@link keysOf} has them. */
  readonly known: ReadonlyArray<Newest>
  /** Up to where every member holds the log. What is after it stays. */
  readonly frontier: number
  /** Deletes before this clock may go, because nobody holds anything that they deleted; none may when there is none. */
  readonly forgetBefore: Clock | undefined
  /** Keys whose deletes stay: something that they deleted stands in an entry of several records that has to stay. */
  readonly isNeeded: (namespace: string, key: string) => boolean
  /** Those of them for which that entry stays because something in it is live, with every member alike. */
  readonly isNeededForLive: (namespace: string, key: string) => boolean
  /** The clock now: what any member has swept so far is before it. */
  readonly now: Clock
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
  /**
   * The oldest entry that is superseded and stays all the same, or the oldest delete of a record in one that stays for
   * another delete.
   */
  readonly oldestLeft: Clock | undefined
  /** The oldest delete that stays. */
  readonly oldestDelete: Clock | undefined
  /** Deleted keys of which an older record stays in an entry of several records. */
  readonly needed: ReadonlyArray<Needed>
  /** Keys of entries of several records that go, which are deleted: with the newest of the writes that let the entry go. */
  readonly released: ReadonlyArray<{ readonly key: RecordKey.RecordKey; readonly after: Clock }>
}

/** A deleted key of which an older record stays, and whether something live is beside that. */
export interface Needed {
  readonly key: RecordKey.RecordKey
  readonly forLive: boolean
}

/** What becomes of a record: `left` is superseded, and not yet by anything that every member holds. */
type Fate = "kept" | "superseded" | "deleted" | "left"

/**
 * Decides about all entries of a batch, in steps: an entry may have many thousand records, and whoever runs this lets others
 * have their turn after each.
 */
export function* decide(whole: EntryBatch.EntryBatch, situation: Situation): Generator<void, Decided> {
  const { forgetBefore, frontier, isNeeded, isNeededForLive, known: knownOf, log, now } = situation
  const { bytes } = whole
  const forgotten: Array<RecordIndex.Pointer> = []
  const needed: Array<Needed> = []
  const released: Array<{ readonly key: RecordKey.RecordKey; readonly after: Clock }> = []
  let goneBytes = 0
  let keptBytes = 0
  let waitingBytes = 0
  let oldestLeft: Clock | undefined
  let oldestDelete: Clock | undefined

  const fateOfRecord = (place: Place, header: Entry.Header, { everywhere, isSettled, newest }: Newest): Fate => {
    // A delete that the index has forgotten, and that stands here still, is older than those that may be.
    if (newest === undefined || isPlace(newest, place)) {
      const isDelete = newest?.deleted ?? header.kind === "delete"
      const isOld = forgetBefore !== undefined && HybridLogicalClock.compare(place.clock, forgetBefore) < 0
      const mayGo = isDelete && isOld && isSettled
      return mayGo && !isNeeded(header.namespace, header.key) ? "deleted" : "kept"
    }
    if (RecordIndex.compare(newest, place) < 0) return "kept"
    return everywhere !== undefined && RecordIndex.compare(everywhere, place) > 0 ? "superseded" : "left"
  }

  let turn = 0
  function* fateOf(seq: number, offset: number): Generator<void, EntryBatch.Fate> {
    const end = Entry.endUnsafe(bytes, offset)
    const size = end - offset
    const { clock, tie } = Entry.stampAt(bytes, offset)
    const place: Place = { log, seq, clock, tie }
    const gone: Array<RecordIndex.Pointer> = []
    /** Superseded records of keys that are deleted by now, and those that are not superseded by what all hold. */
    const superseded: Array<RecordKey.RecordKey> = []
    const overtaken: Array<RecordKey.RecordKey> = []
    let count = 0
    let going = 0
    let hasKept = false
    let isLive = false
    let hasDelete = false
    let hasNeeded = false
    let hasGone = false
    /** The oldest delete of a superseded record. */
    let deletedAt: Clock | undefined
    let after: Clock | undefined
    for (let at = Entry.firstRecord(offset); at < end; at = Entry.nextRecord(bytes, at)) {
      const header = Entry.headerAt(bytes, at)
      const known = knownOf[turn]!
      const { everywhere, newest } = known
      const fate = fateOfRecord(place, header, known)
      const isDeleted = newest?.deleted ?? header.kind === "delete"
      if (fate === "superseded" || fate === "deleted") going++
      if (fate === "kept") hasKept = true
      if (fate === "kept" && !isDeleted) isLive = true
      if (fate === "kept" && isDeleted) {
        if (isNeededForLive(header.namespace, header.key)) hasNeeded = true
        else hasDelete = true
      }
      // Of a delete nothing comes back.
      const isToDelete = header.kind === "put" && newest?.deleted === true
      if ((fate === "superseded" || fate === "left") && isToDelete) deletedAt = earlier(deletedAt, newest.clock)
      if (fate === "deleted" && newest !== undefined) gone.push(newest)
      if (fate === "superseded" && isToDelete) superseded.push(header)
      if (fate === "left" && isToDelete) overtaken.push(header)
      if (fate === "deleted") hasGone = true
      if (everywhere !== undefined) after = later(after, everywhere.clock)
      count++
      if (++turn % turnRecords === 0) yield
    }
    const isGoing = going === count
    if (isGoing && seq <= frontier) {
      goneBytes += size
      for (const pointer of gone) forgotten.push(pointer)
      // What stayed for a delete alone goes where that is forgotten, and with others at another time.
      const last = after !== undefined && hasGone ? later(after, now) : after
      if (count > 1 && last !== undefined) for (const key of superseded) released.push({ key, after: last })
      return hasGone ? "deleted" : "superseded"
    }
    if (isLive) keptBytes += size
    else waitingBytes += size
    // What could go, and does not yet, is not swept; what has to stay for another of its records is no question. Where that
    // is a delete alone, one member forgets it before another: until it has gone here, what was deleted beside it is left.
    if (!hasKept) oldestLeft = earlier(oldestLeft, clock)
    else if (!isLive && !hasNeeded && deletedAt !== undefined) oldestLeft = earlier(oldestLeft, deletedAt)
    if (hasDelete) oldestDelete = earlier(oldestDelete, clock)
    for (const key of superseded) needed.push({ key, forLive: isLive })
    for (const key of overtaken) needed.push({ key, forLive: isLive })
    return "kept"
  }

  const fates = new Map<number, EntryBatch.Fate>()
  for (const { offset, seq } of entriesOf(whole)) fates.set(seq, yield* fateOf(seq, offset))
  const batch = EntryBatch.erase(whole, (seq) => fates.get(seq)!)
  return { batch, forgotten, goneBytes, keptBytes, waitingBytes, oldestLeft, oldestDelete, needed, released }
}

/** The keys of a batch, as they are asked for; one may come again. */
export function* keysOf(batch: EntryBatch.EntryBatch): Generator<RecordKey.RecordKey, void> {
  const { bytes } = batch
  for (const { offset } of entriesOf(batch)) {
    const end = Entry.endUnsafe(bytes, offset)
    for (let at = Entry.firstRecord(offset); at < end; at = Entry.nextRecord(bytes, at)) yield Entry.headerAt(bytes, at)
  }
}

/** The earlier of two clocks, of which the first may be none. */
export const earlier = (a: Clock | undefined, b: Clock): Clock =>
  a === undefined || HybridLogicalClock.compare(b, a) < 0 ? b : a

// ---------------------------------------------------------------------------------------------------------------------

/** After how many records others have their turn: a millisecond, or two. */
const turnRecords = 512

const entriesOf = (batch: EntryBatch.EntryBatch) => {
  const entries: Array<{ readonly seq: number; readonly offset: number }> = []
  EntryBatch.forEach(batch, (seq, offset) => void entries.push({ seq, offset }))
  return entries
}

interface Place extends Version.Version {
  readonly log: LogId.LogId
  readonly seq: number
}

const isPlace = (pointer: RecordIndex.Pointer, { log, seq }: Place): boolean =>
  pointer.log === log && pointer.seq === seq

const later = (a: Clock | undefined, b: Clock): Clock =>
  a === undefined || HybridLogicalClock.compare(b, a) > 0 ? b : a
