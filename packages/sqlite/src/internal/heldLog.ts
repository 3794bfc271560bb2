/**
 * One log in its table: what is held of it, and reading it back.
 *
 * Nothing is taken for granted that was read: a row is checked against the chain checksum stored with it, and against
 * its neighbours.
 */
import { Entry, type LogId } from "@quorum/core"
import { Chain, EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Result } from "effect"
import type { DatabaseSync, StatementSync } from "./nodeSqlite.ts"
import * as Database from "./database.ts"

/** A log as it is durably held, and its prepared statements. */
export interface HeldLog {
  readonly file: string
  /** What of it is held and cannot be read, as far as that was found. */
  readonly damage: Array<ReplicaStore.DamagedRange>
  head: Watermark.Watermark
  readonly insert: StatementSync
  /** The rows with entries after a sequence, in order. */
  readonly rows: StatementSync
}

/** The table of a log. The primary key is the row id, so an append goes to the right edge of the B-tree. */
export const createTable = (id: number): string =>
  `CREATE TABLE batch_${id} (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, prev_chain TEXT NOT NULL,
    chain TEXT NOT NULL, bytes BLOB NOT NULL) STRICT`

/** Prepares the statements of a log; it looks at what is held only in {@link verify}. */
export const make = (file: string, db: DatabaseSync, id: number, name: LogId.LogId): HeldLog => ({
  file,
  damage: [],
  head: Watermark.none(name),
  insert: db.prepare(`INSERT INTO batch_${id} VALUES (?, ?, ?, ?, ?)`),
  rows: db.prepare(`SELECT * FROM batch_${id} WHERE last > ? ORDER BY last`)
})

/**
 * Finds the head: the newest row, and it follows the one before it. When its bytes do not fit its checksum the log
 * still ends there, as its row says, and takes no more; the rows before it are as good as ever.
 */
export const verify = (log: HeldLog, db: DatabaseSync, id: number): void => {
  const [newest, before] = db.prepare(`SELECT * FROM batch_${id} ORDER BY last DESC LIMIT 2`).all() as unknown as [
    Row?,
    Row?
  ]
  if (newest === undefined) return
  const head = before === undefined ? log.head : { seq: before.last, chain: before.chain }
  if (newest.first !== head.seq + 1 || newest.prev_chain !== head.chain) throw damaged(log, newest.first)
  if (batchOf(log, newest) === undefined) noteDamage(log, newest.first, newest.last)
  log.head = { ...log.head, seq: newest.last, chain: newest.chain }
}

/** The damage at the end of a log, which nothing may be appended to: nobody can tell what it ends with. */
export const damagedEnd = (log: HeldLog): ReplicaStore.StoreError | undefined =>
  log.damage.some(({ to }) => to === log.head.seq) ? damaged(log, log.head.seq) : undefined

/**
 * Writes a batch; durable when it returns, all of it or nothing. A large one, as catch-up brings them, is cut into
 * several rows: whoever reads one entry reads and checks the row that it is in.
 */
export const insert = (log: HeldLog, db: DatabaseSync, batch: EntryBatch.EntryBatch): void => {
  const [row, ...more] = EntryBatch.split(batch, maxRowBytes)
  if (more.length === 0) return insertRow(log, batch)
  db.exec("BEGIN")
  insertRow(log, row!)
  for (const row of more) insertRow(log, row)
  db.exec("COMMIT")
}

/** The chain after an entry that is held. */
export const chainAt = (log: HeldLog, seq: number): Chain.Chain => {
  if (seq === 0) return Chain.empty
  if (seq === log.head.seq) return log.head.chain
  const row = log.rows.get(seq - 1) as unknown as Row | undefined
  if (row === undefined || row.first > seq) throw noteDamage(log, seq, (row?.first ?? seq + 1) - 1)
  if (row.last === seq) return row.chain
  const batch = batchOf(log, row)
  if (batch === undefined) throw noteDamage(log, row.first, row.last)
  return EntryBatch.chainAt(batch, seq)
}

/**
 * The entries after `after`, at least one of which is held, as many as fit in `maxBytes` but at least one. Damage ends
 * what is read before it, and is what fails when the reader goes on from there.
 */
export const read = (log: HeldLog, after: number, maxBytes: number): EntryBatch.EntryBatch => {
  const found: Array<EntryBatch.EntryBatch> = []
  let end = after
  let room = maxBytes
  for (const row of log.rows.iterate(after) as unknown as Iterable<Row>) {
    const previous = found[found.length - 1]
    const whole = row.first <= end + 1 ? batchOf(log, row) : undefined
    const batch = whole === undefined ? undefined : EntryBatch.after(whole, after)
    if (batch === undefined || batch.from !== end + 1 || (previous && previous.chain !== batch.prevChain)) {
      // A row that begins later than it should: what is between is missing, and the row itself may be in order.
      const error = noteDamage(log, end + 1, row.first > end + 1 ? row.first - 1 : row.last)
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
  if (found.length === 0) throw noteDamage(log, after + 1, log.head.seq)
  const batch = EntryBatch.concat(found as [EntryBatch.EntryBatch])
  // A small part must not keep a large row in memory.
  return batch.bytes.length * 2 < batch.bytes.buffer.byteLength ? { ...batch, bytes: batch.bytes.slice() } : batch
}

// ---------------------------------------------------------------------------------------------------------------------

/** The most bytes of entries in a row, unless one entry is larger. */
const maxRowBytes = 64 * 1024

const insertRow = (log: HeldLog, batch: EntryBatch.EntryBatch): void => {
  log.insert.run(EntryBatch.last(batch), batch.from, batch.prevChain, batch.chain, batch.bytes)
}

interface Row {
  readonly last: number
  readonly first: number
  readonly prev_chain: Chain.Chain
  readonly chain: Chain.Chain
  readonly bytes: Uint8Array
}

/** The batch in a row; `undefined` when its bytes do not fit what the row says of them. */
const batchOf = (log: HeldLog, row: Row): EntryBatch.EntryBatch | undefined => {
  const batch: EntryBatch.EntryBatch = {
    log: log.head.log,
    from: row.first,
    count: row.last - row.first + 1,
    prevChain: row.prev_chain,
    chain: row.chain,
    bytes: row.bytes
  }
  return batch.count < 1 || Result.isFailure(EntryBatch.validate(batch)) ? undefined : batch
}

/** Remembers damage, once. */
const noteDamage = (log: HeldLog, from: number, to: number): ReplicaStore.StoreError => {
  const known = log.damage.some((range) => range.from <= from && to <= range.to)
  if (!known) log.damage.push({ log: log.head.log, from, to })
  return damaged(log, from)
}

const damaged = (log: HeldLog, seq: number): ReplicaStore.StoreError =>
  Database.damaged(
    `${log.file} is damaged at entry ${seq} of ${log.head.log}; restore it, or delete it and let the peers fill a new one`
  )
