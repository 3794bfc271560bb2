/**
 * One log in its table: what is held of it, and reading it back.
 *
 * Nothing is taken for granted that was read: a row is checked against the chain checksum stored with it, and against
 * its neighbours. What is damaged costs itself, wherever the bit is: in the bytes, in a column beside them, in a page of
 * SQLite.
 */
import { Entry, type LogId } from "@quorum/core"
import { Chain, CheckedBatch, EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import type { DatabaseSync, StatementSync } from "./nodeSqlite.ts"
import * as Damage from "./damage.ts"
import * as Database from "./database.ts"

/** A log as it is held, and its prepared statements. */
export interface HeldLog extends Damage.Table {
  readonly file: string
  /** The damage of all logs of the store that was found so far, in the order in which it was found. */
  readonly found: Array<ReplicaStore.DamagedRange>
  /** How far it is written, and can be read. */
  head: Watermark.Watermark
  /** How far it is durable. */
  durable: Watermark.Watermark
  /** Rows that were read and checked lately, and where the next one goes. */
  readonly checked: Array<CheckedBatch.CheckedBatch>
  next: number
  /** Why nothing can be appended: the end of the log is damaged, so nobody can tell what it ends with. */
  damagedEnd: ReplicaStore.StoreError | undefined
  readonly begin: StatementSync
  readonly insert: StatementSync
  readonly commit: StatementSync
  /** The rows with entries after a sequence, in order. */
  readonly rows: StatementSync
}

/** The table of a log. The primary key is the row id, so an append goes to the right edge of the B-tree. */
export const createTable = (id: number): string =>
  `CREATE TABLE batch_${id} (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, prev_chain TEXT NOT NULL,
    chain TEXT NOT NULL, bytes BLOB NOT NULL) STRICT`

/** Prepares the statements of a log; it looks at what is held only in {@link findHead}. */
export const make = (
  file: string,
  db: DatabaseSync,
  id: number,
  name: LogId.LogId,
  found: Array<ReplicaStore.DamagedRange>
): HeldLog => ({
  file,
  found,
  head: Watermark.none(name),
  durable: Watermark.none(name),
  checked: [],
  next: 0,
  damagedEnd: undefined,
  begin: db.prepare("BEGIN"),
  commit: db.prepare("COMMIT"),
  insert: db.prepare(`INSERT INTO batch_${id} VALUES (?, ?, ?, ?, ?)`),
  rows: db.prepare(`SELECT * FROM batch_${id} WHERE last > ? ORDER BY last`),
  newest: db.prepare(`SELECT * FROM batch_${id} ORDER BY last DESC LIMIT 1`),
  rowAfter: db.prepare(`SELECT * FROM batch_${id} WHERE last > ? ORDER BY last LIMIT 1`),
  endBefore: db.prepare(`SELECT last, chain FROM batch_${id} WHERE last < ? ORDER BY last DESC LIMIT 1`)
})

/**
 * Finds the head: the end of the newest row, which has to fit its own checksum and the row before it. When its bytes do
 * not fit, the log still ends there, as the row says, and takes no more; the rows before it are as good as ever.
 */
export const findHead = (log: HeldLog): void => {
  findEnd(log)
  log.durable = log.head
}

const findEnd = (log: HeldLog): void => {
  const row = Damage.newest(log)
  if (row === undefined) return
  const newest = row === "damaged" ? undefined : batchOf(log, row)
  if (newest === undefined) {
    // Whatever its numbers have become, it is not before what it says, and not the beginning.
    const end =
      row === "damaged" ? Damage.readableEnd(log) : Math.max(1, Number(row["last"]), Number(row["first"]) || 0)
    log.head = { ...log.head, seq: end, chain: Chain.empty }
    log.damagedEnd = noteDamage(log, end)
    return
  }
  log.head = EntryBatch.watermark(newest)
  const before = Damage.endBefore(log, log.head.seq)
  if (before === "damaged" || before.last !== newest.from - 1 || before.chain !== newest.prevChain) {
    noteDamage(log, Math.max(1, newest.from - 1))
  }
}

/** The logs that a file holds, and the damage that shows at once. */
export const all = (file: string, db: DatabaseSync) => {
  // A log under a wrong name would leave its places to be given away again. The index of the names has each twice.
  const names = db.prepare("PRAGMA integrity_check(log)").get()
  if (names?.["integrity_check"] !== "ok") {
    throw Database.damaged(`${file} is damaged in the names of its logs; restore it, or delete it`)
  }
  /** What was found so far, in order. */
  const damage: Array<ReplicaStore.DamagedRange> = []
  const logs = new Map<LogId.LogId, HeldLog>()
  for (const { id, name } of db.prepare("SELECT id, name FROM log").all() as Array<{ id: number; name: LogId.LogId }>) {
    const log = make(file, db, id, name, damage)
    findHead(log)
    logs.set(name, log)
  }
  return { damage, logs }
}

/**
 * Writes a batch, all of it or nothing. A large one, as catch-up brings them, is cut into several rows: whoever reads one
 * entry reads and checks the row that it is in.
 */
export const insert = (log: HeldLog, batch: EntryBatch.EntryBatch): void => {
  const { begin, commit } = log
  begin.run()
  for (const row of EntryBatch.split(batch, maxRowBytes)) insertRow(log, row)
  commit.run()
}

/** The chain after an entry that is held: from its row, or from the row after it, which begins with that chain. */
export const chainAt = (log: HeldLog, seq: number): Chain.Chain => {
  if (seq === 0) return Chain.empty
  if (seq === log.head.seq && log.damagedEnd === undefined) return log.head.chain
  const row = rowWith(log, seq)
  if (row !== undefined) return CheckedBatch.chainAt(row, seq)
  const next = rowWith(log, seq + 1)
  if (next?.batch.from === seq + 1) return next.batch.prevChain
  throw noteDamage(log, seq)
}

/**
 * The entries after `after`, at least one of which is held, as many as fit in `maxBytes` but at least one. Damage ends
 * what is read before it, and is what fails when the reader goes on from there.
 */
export const read = (log: HeldLog, after: number, maxBytes: number): EntryBatch.EntryBatch => {
  const row = rowWith(log, after + 1)
  const part = row && CheckedBatch.part(row, after + 1, maxBytes)
  // Most who read little find it in one row.
  if (part === undefined) return readOn(log, after, maxBytes)
  const end = EntryBatch.last(part)
  const isAll = end < EntryBatch.last(row!.batch) || end === log.head.seq || part.bytes.length >= maxBytes
  return isAll ? owned(part) : readOn(log, after, maxBytes)
}

const readOn = (log: HeldLog, after: number, maxBytes: number): EntryBatch.EntryBatch => {
  const found: Array<EntryBatch.EntryBatch> = []
  let end = after
  let room = maxBytes
  for (const row of batchesAfter(log, after)) {
    const previous = found[found.length - 1]
    // A damaged page of SQLite leads to rows that were not asked for.
    const wanted = row !== undefined && row.from <= end + 1 && EntryBatch.last(row) > end
    const batch = wanted ? EntryBatch.after(row, after) : undefined
    if (batch === undefined || batch.from !== end + 1 || (previous && previous.chain !== batch.prevChain)) {
      const error = noteDamage(log, end + 1)
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
  if (found.length === 0) throw noteDamage(log, after + 1)
  return owned(EntryBatch.concat(found as [EntryBatch.EntryBatch]))
}

// ---------------------------------------------------------------------------------------------------------------------

/** The most bytes of entries in a row, unless one entry is larger: what a page of SQLite has room for beside the rest. */
const maxRowBytes = 3968

const insertRow = (log: HeldLog, batch: EntryBatch.EntryBatch): void => {
  log.insert.run(EntryBatch.last(batch), batch.from, batch.prevChain, batch.chain, batch.bytes)
}

/** The rows after an entry as batches; `undefined`, and no more, where one cannot be read or is not what it says. */
function* batchesAfter(log: HeldLog, after: number): Generator<EntryBatch.EntryBatch | undefined> {
  try {
    for (const row of log.rows.iterate(after)) yield batchOf(log, row)
  } catch (cause) {
    if (!Damage.is(cause)) throw cause
    yield undefined
  }
}

/** A small part must not keep a large row in memory. */
const owned = (batch: EntryBatch.EntryBatch): EntryBatch.EntryBatch =>
  batch.bytes.length * 2 < batch.bytes.buffer.byteLength ? { ...batch, bytes: batch.bytes.slice() } : batch

/** The row with an entry; `undefined` when there is none that is in order. What was checked lately is not read again. */
const rowWith = (log: HeldLog, seq: number): CheckedBatch.CheckedBatch | undefined => {
  const known = log.checked.find((row) => CheckedBatch.has(row, seq))
  if (known !== undefined) return known
  const found = Damage.rowAfter(log, seq - 1)
  const row = found === "damaged" || found === undefined ? undefined : checkedOf(log, found)
  if (row === undefined || !CheckedBatch.has(row, seq)) return undefined
  log.checked[log.next] = row
  log.next = (log.next + 1) % rowsKept
  return row
}

/** How many rows of a log are kept that were checked: few, because they are gone through one by one. */
const rowsKept = 32

const batchOf = (log: HeldLog, row: Record<string, unknown>): EntryBatch.EntryBatch | undefined =>
  checkedOf(log, row)?.batch

/** The batch in a row; `undefined` when its bytes do not fit what the row says of them. */
const checkedOf = (log: HeldLog, row: Record<string, unknown>): CheckedBatch.CheckedBatch | undefined => {
  // A bit in the head of a row changes the types of its columns.
  if (!isRow(row) || row.first < 1 || row.first > row.last) return undefined
  return CheckedBatch.make({
    log: log.head.log,
    from: row.first,
    count: row.last - row.first + 1,
    prevChain: row.prev_chain,
    chain: row.chain,
    bytes: row.bytes
  })
}

interface Row {
  readonly last: number
  readonly first: number
  readonly prev_chain: Chain.Chain
  readonly chain: Chain.Chain
  readonly bytes: Uint8Array
}

const isRow = (row: Record<string, unknown>): row is Record<string, unknown> & Row =>
  Number.isSafeInteger(row["last"]) &&
  Number.isSafeInteger(row["first"]) &&
  isChain(row["prev_chain"]) &&
  isChain(row["chain"]) &&
  row["bytes"] instanceof Uint8Array

const isChain = (value: unknown): value is Chain.Chain => typeof value === "string" && /^[0-9a-f]{16}$/.test(value)

/** Remembers the damage that an entry is in, once: all that lies between what can be read before and after it. */
const noteDamage = (log: HeldLog, seq: number): ReplicaStore.StoreError => {
  const { log: name, seq: head } = log.head
  const before = Damage.endBefore(log, seq)
  const from = before === "damaged" ? seq : Math.min(seq, before.last + 1)
  const to = Math.max(seq, Math.min(damagedUpTo(log, seq), head))
  const known = log.found.some((range) => range.log === name && range.from <= from && to <= range.to)
  if (!known) log.found.push({ log: name, from, to })
  return Database.damaged(
    `${log.file} is damaged at entry ${seq} of ${name}; restore it, or delete it and let the peers fill a new one`
  )
}

const damagedUpTo = (log: HeldLog, seq: number): number => {
  const row = Damage.rowAfter(log, seq - 1)
  if (row === "damaged") return Damage.readableAfter(log, seq, log.head.seq) - 1
  if (row === undefined) return log.head.seq
  const batch = batchOf(log, row)
  // A row that begins later than it should: what is between is missing, and the row itself is in order.
  return batch !== undefined && batch.from > seq ? batch.from - 1 : Number(row["last"])
}
