/**
 * Putting a batch in the place of what a log holds there: erasing, mending, and taking over what was erased elsewhere.
 */
import { DamagedRange, EntryBatch, ReplicaStore } from "@quorum/core/adapter"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Damage from "./damage.ts"
import * as Database from "./database.ts"
import * as Part from "./part.ts"
import * as Rows from "./rows.ts"

/** A change that was committed. */
export interface Replaced {
  /** How much of the file was written anew, in bytes, or so. */
  readonly bytes: number
  /** To be called when it is durable. */
  readonly settle: () => void
}

/**
 * Stores a batch, which was decided to fit, in the place of what is there: all of it or nothing. The rows that it replaces
 * go in the same transaction, and their room is given back to the file system by it: a free page would be one that nobody
 * checks. Where the file cannot be made shorter, because a page at its end is damaged, the room is used for what comes next.
 *
 * What is damaged is never written to: a batch that mends goes into a part of its own, over the damaged rows. So does one
 * whose old rows cannot be taken away. What is damaged stays named until the result is settled.
 */
export const replace = (
  db: DatabaseSync,
  log: Rows.HeldLog,
  batch: EntryBatch.EntryBatch,
  mends: boolean
): Replaced => {
  const { from, log: name } = batch
  const to = EntryBatch.last(batch)
  const goesOn = to > log.head.seq
  const bytes = mends && !goesOn ? putOver(db, log, batch) : putInPlace(db, log, batch, goesOn)
  Rows.forgetRows(log)
  if (goesOn) log.head = EntryBatch.watermark(batch)
  const settle = (): void => {
    log.found.ranges = DamagedRange.without(log.found.ranges, { log: name, from, to })
  }
  return { bytes, settle }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Stores a batch and removes the rows that it replaces. */
const putInPlace = (db: DatabaseSync, log: Rows.HeldLog, batch: EntryBatch.EntryBatch, goesOn: boolean): number => {
  try {
    const whole = wholeRows(log, batch)
    if (whole !== undefined || goesOn) return exchangeAndShrink(db, log, whole ?? batch)
  } catch (cause) {
    if (goesOn || !Damage.isInTheWay(cause)) throw cause
  }
  return putOver(db, log, batch)
}

/**
 * The batch with what is left of the rows that it covers in part, in any part of the log; `undefined` where such a row
 * cannot be read.
 */
const wholeRows = (log: Rows.HeldLog, batch: EntryBatch.EntryBatch): EntryBatch.EntryBatch | undefined => {
  const before = rowOf(log, batch.from - 1)
  const after = rowOf(log, EntryBatch.last(batch) + 1)
  let whole = ReplicaStore.withEdges(batch, before, after, Part.maxRowBytes)
  for (;;) {
    const { from } = whole
    const to = EntryBatch.last(whole)
    const isLeft = straddles(log, from - 1)
    const isRight = straddles(log, to)
    if (isLeft === undefined || isRight === undefined) return undefined
    if (!isLeft && !isRight) return whole
    const left = isLeft ? rowOf(log, from - 1) : undefined
    const right = isRight ? rowOf(log, to + 1) : undefined
    if ((isLeft && left === undefined) || (isRight && right === undefined)) return undefined
    // Of the row on either side the rest is taken, however long it is.
    whole = ReplicaStore.withEdges(whole, left, right, Infinity)
  }
}

const rowOf = (log: Rows.HeldLog, seq: number): EntryBatch.EntryBatch | undefined =>
  seq < 1 || seq > log.head.seq ? undefined : Rows.rowWith(log, seq)?.batch

/** Whether any part has a row that counts with an entry and the next; `undefined` where that cannot be read. */
const straddles = (log: Rows.HeldLog, seq: number): boolean | undefined => {
  if (seq < 1) return false
  const rows = log.parts.map((part) => {
    const row = Damage.rowAfter(part, seq)
    return row !== "damaged" && row !== undefined && Number(row["last"]) > part.upTo ? undefined : row
  })
  if (rows.includes("damaged")) return undefined
  return rows.some((row) => row !== undefined && row !== "damaged" && Number(row["first"]) <= seq)
}

const exchangeAndShrink = (db: DatabaseSync, log: Rows.HeldLog, batch: EntryBatch.EntryBatch): number => {
  try {
    return exchange(db, log, batch, Database.shrink)
  } catch (cause) {
    if (!Damage.isInTheWay(cause)) throw cause
    return exchange(db, log, batch, () => undefined)
  }
}

/** Removes all rows that end within a batch, and stores it, in one transaction. Returns how much that wrote, in bytes. */
const exchange = (
  db: DatabaseSync,
  log: Rows.HeldLog,
  batch: EntryBatch.EntryBatch,
  shrink: (db: DatabaseSync) => void
): number => {
  const part = partOf(log, EntryBatch.last(batch))
  const removed = Database.transaction(db, () => {
    const removed = log.parts.reduce((sum, part) => sum + Part.remove(part, batch.from, EntryBatch.last(batch)), 0)
    Part.insert(part, batch)
    shrink(db)
    return removed
  })
  part.isUsed = true
  // Into the room of each row that went, a page from the end of the file is moved.
  return 2 * (removed + batch.bytes.length)
}

/** The part that takes rows up to an entry: the one that takes what is appended, unless its beginning comes after that. */
const partOf = (log: Rows.HeldLog, to: number): Part.Part =>
  log.parts.findLast(({ upTo }) => upTo !== Infinity && to <= upTo) ?? Rows.appended(log)

/**
 * Stores a batch in a part that is newer than all that have rows at its places, with what is left of the rows that it covers
 * in part, where these can be read: of two rows that have the same entries the older one may not count any more when a log
 * is cut, and their ranges of erased entries may not end where those of the other do.
 */
const putOver = (db: DatabaseSync, log: Rows.HeldLog, part: EntryBatch.EntryBatch): number => {
  const batch = ReplicaStore.withEdges(part, rowOf(log, part.from - 1), rowOf(log, EntryBatch.last(part) + 1), 0)
  const newest = log.parts[log.parts.length - 1]!
  const isFree = newest !== Rows.appended(log) && hasNone(newest, batch)
  const table = isFree ? newest.id : Part.nextTable(db)
  const over = Database.transaction(db, () => {
    const part = isFree ? newest : Part.create(db, table, batch.log, log.parts.length)
    Part.insert(part, batch)
    return part
  })
  over.isUsed = true
  if (!isFree) log.parts.push(over)
  return batch.bytes.length + 4096
}

/** Whether a part has no row with entries of a batch, and can be read there. */
const hasNone = (part: Part.Part, batch: EntryBatch.EntryBatch): boolean => {
  const row = Damage.rowAfter(part, batch.from - 1)
  return row === undefined || (row !== "damaged" && Number(row["first"]) > EntryBatch.last(batch))
}
