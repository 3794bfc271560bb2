/**
 * One log in its tables: where it ends, and reading it back.
 */
import { Entry, type LogId } from "@quorum/core"
import { Chain, CheckedBatch, EntryBatch, ReplicaStore, type Watermark } from "@quorum/core/adapter"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Damage from "./damage.ts"
import * as Database from "./database.ts"
import * as Part from "./part.ts"
import * as Rows from "./rows.ts"

/**
 * Finds the head: the end of the newest row, which has to fit its own checksum and the row before it. When its bytes do
 * not fit, the log still ends there, as the row says, and takes no more; the rows before it are as good as ever.
 */
export const findHead = (log: Rows.HeldLog): void => {
  findEnd(log)
  log.durable = log.head
}

const findEnd = (log: Rows.HeldLog): void => {
  const part = Rows.appended(log)
  const row = Damage.newest(part)
  if (row === undefined && !part.isUsed) return findCutEnd(log)
  const newest = row === "damaged" || row === undefined ? undefined : Rows.batchOf(log, row)
  if (newest === undefined) {
    // Whatever its numbers have become, it is not before what it says, and not the beginning.
    const end =
      row === "damaged"
        ? Damage.readableEnd(part)
        : // A table that was used and looks empty has lost its first page.
          Math.max(1, Number(row?.["last"] ?? 1), Number(row?.["first"]) || 0)
    log.head = { ...log.head, seq: end, chain: Chain.empty }
    log.damagedEnd = Rows.noteDamage(log, end)
    return
  }
  log.head = EntryBatch.watermark(newest)
  const before = Rows.endBefore(log, newest.from)
  if (before === "damaged" || before.last !== newest.from - 1 || before.chain !== newest.prevChain) {
    Rows.noteDamage(log, Math.max(1, newest.from - 1))
  }
}

/** After an end that was given up nothing was appended yet. */
const findCutEnd = (log: Rows.HeldLog): void => {
  const end = Math.max(0, ...log.parts.map(({ upTo }) => (upTo === Infinity ? 0 : upTo)))
  if (end === 0) return
  const row = Rows.rowWith(log, end)
  log.head = { ...log.head, seq: end, chain: (row && CheckedBatch.chainAt(row, end)) ?? Chain.empty }
  if (row === undefined) log.damagedEnd = Rows.noteDamage(log, end)
}

/** The logs that a file holds, and the damage that shows at once. */
export const all = (file: string, db: DatabaseSync) => {
  // A log under a wrong name would leave its places to be given away again.
  if (!Database.isWhole(db, "log")) {
    throw Database.damaged(`${file} is damaged in the names of its logs; restore it, or delete it`)
  }
  const found: Rows.Found = { ranges: [] }
  const logs = new Map<LogId.LogId, Rows.HeldLog>()
  for (const [name, parts] of Part.all(db)) {
    const log = Rows.make(file, name, parts, found)
    findHead(log)
    logs.set(name, log)
  }
  return { found, logs }
}

/**
 * Writes a batch, all of it or nothing. A large one, as catch-up brings them, is cut into several rows: whoever reads one
 * entry reads and checks the row that it is in.
 */
export const insert = (log: Rows.HeldLog, batch: EntryBatch.EntryBatch): void => {
  const part = Rows.appended(log)
  part.begin.run()
  Part.insert(part, batch)
  part.commit.run()
  part.isUsed = true
}

/**
 * The chain after an entry that is held: from its row, or from the row after it, which begins with that chain; `undefined`
 * where it is erased together with the next.
 */
export const chainAt = (log: Rows.HeldLog, seq: number): Chain.Chain | undefined => {
  if (seq === 0) return Chain.empty
  if (seq === log.head.seq) {
    // Whatever may still be found behind it.
    if (log.damagedEnd !== undefined) throw log.damagedEnd
    return log.head.chain
  }
  // A damaged page may hide the first entries of a row that can be read from the next one on.
  const row = Rows.rowWith(log, seq) ?? Rows.rowWith(log, seq + 1)
  if (row !== undefined) return CheckedBatch.chainAt(row, seq)
  throw Rows.noteDamage(log, seq)
}

/** The watermark of a log that is to end with an entry, which is none that is erased together with the next. */
export const watermarkAt = (log: Rows.HeldLog, seq: number): Watermark.Watermark => {
  const chain = chainAt(log, seq)
  if (chain !== undefined) return { ...log.head, seq, chain }
  const detail = `a log cannot end among erased entries: ${seq} of ${log.head.log} is one`
  throw new ReplicaStore.StoreError({ reason: "unavailable", detail })
}

/**
 * The entries after `after`, at least one of which is held, as many as fit in `maxBytes` but at least one. Damage ends
 * what is read before it, and is what fails when the reader goes on from there.
 */
export const read = (log: Rows.HeldLog, after: number, maxBytes: number): EntryBatch.EntryBatch => {
  const row = Rows.rowWith(log, after + 1)
  const part = row && CheckedBatch.part(row, after + 1, maxBytes)
  // Most who read little find it in one row.
  if (part === undefined) return readOn(log, after, maxBytes)
  const end = EntryBatch.last(part)
  const isAll = end < EntryBatch.last(row!.batch) || end === log.head.seq || part.bytes.length >= maxBytes
  return isAll ? owned(part) : readOn(log, after, maxBytes)
}

const readOn = (log: Rows.HeldLog, after: number, maxBytes: number): EntryBatch.EntryBatch => {
  const found: Array<EntryBatch.EntryBatch> = []
  let end = after
  let room = maxBytes
  for (const row of batchesAfter(log, after)) {
    const previous = found[found.length - 1]
    // A damaged page of SQLite leads to rows that were not asked for.
    const wanted = row !== undefined && row.from <= end + 1 && EntryBatch.last(row) > end
    const batch = wanted ? EntryBatch.after(row, end) : undefined
    if (batch === undefined || (previous && previous.chain !== batch.prevChain)) {
      const error = Rows.noteDamage(log, end + 1)
      if (previous === undefined) throw error
      break
    }
    if (previous !== undefined && Entry.endUnsafe(batch.bytes, 0) > room) break
    const part = EntryBatch.take(batch, room)
    found.push(part)
    room -= part.bytes.length
    end = EntryBatch.last(part)
    if (part.count < batch.count || room <= 0) break
  }
  if (found.length === 0) throw Rows.noteDamage(log, after + 1)
  return owned(EntryBatch.concat(found as [EntryBatch.EntryBatch]))
}

// ---------------------------------------------------------------------------------------------------------------------

/** The rows after an entry as batches; `undefined`, and no more, where one cannot be read or is not what it says. */
function* batchesAfter(log: Rows.HeldLog, after: number): Generator<EntryBatch.EntryBatch | undefined> {
  const [first] = log.parts
  if (log.parts.length > 1 || log.found.ranges.some((range) => range.log === log.head.log)) {
    return yield* rowsInOrder(log, after)
  }
  try {
    for (const row of first!.rows.iterate(after)) yield Rows.batchOf(log, row)
  } catch (cause) {
    if (!Damage.is(cause)) throw cause
    yield undefined
  }
}

/** The same where the rows are in several tables, or some of them are known to be damaged. */
function* rowsInOrder(log: Rows.HeldLog, after: number): Generator<EntryBatch.EntryBatch | undefined> {
  for (let end = after; end < log.head.seq;) {
    const row = Rows.rowWith(log, end + 1)
    yield row?.batch
    if (row === undefined) return
    end = EntryBatch.last(row.batch)
  }
}

/** A small part must not keep a large row in memory. */
const owned = (batch: EntryBatch.EntryBatch): EntryBatch.EntryBatch =>
  batch.bytes.length * 2 < batch.bytes.buffer.byteLength ? { ...batch, bytes: batch.bytes.slice() } : batch
