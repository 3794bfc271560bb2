/**
 * A part of a log: a table of rows, each with the entries of one append or a part of them.
 *
 * A log begins with one part, which takes what is appended. Nothing in it is ever written over: what is mended goes into
 * another part, and a damaged end is given up by saying how far the parts count and going on in a new one.
 */
import type { LogId } from "@quorum/core"
import { EntryBatch } from "@quorum/core/adapter"
import type { DatabaseSync, StatementSync } from "./nodeSqlite.ts"
import type * as Damage from "./damage.ts"

/** A part of a log, and its prepared statements. */
export interface Part extends Damage.Table {
  readonly id: number
  /** The last entry that counts of it; infinite unless an end was given up. */
  upTo: number
  /** Whether anything was appended to it: it cannot be empty then. */
  isUsed: boolean
  readonly begin: StatementSync
  readonly insert: StatementSync
  readonly use: StatementSync
  readonly commit: StatementSync
  /** The rows with entries after a sequence, in order. */
  readonly rows: StatementSync
}

/** Where the names and parts of the logs are. The index has every column twice, so that damage of one shows. */
export const createLogs = `CREATE TABLE log (id INTEGER PRIMARY KEY, name TEXT NOT NULL, part INTEGER NOT NULL,
  up_to INTEGER, used INTEGER NOT NULL DEFAULT 0, UNIQUE (name, part, up_to, used)) STRICT`

/** Makes a new part, inside a transaction: the one of this number of a log. */
export const create = (db: DatabaseSync, name: LogId.LogId, number: number): Part => {
  const id = Number(db.prepare("INSERT INTO log (name, part) VALUES (?, ?)").run(name, number).lastInsertRowid)
  // The primary key is the row id, so an append goes to the right edge of the B-tree. Each row says of which part it is: a
  // page that is where another belongs is in order by itself.
  db.exec(`CREATE TABLE batch_${id} (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, part INTEGER NOT NULL,
    prev_chain TEXT NOT NULL, chain TEXT NOT NULL, bytes BLOB NOT NULL) STRICT`)
  return open(db, id, Infinity, false)
}

/** Says, inside a transaction, that nothing after an entry counts of the parts that a log has. */
export const close = (db: DatabaseSync, name: LogId.LogId, upTo: number): void => {
  db.prepare("UPDATE log SET up_to = ? WHERE name = ? AND (up_to IS NULL OR up_to > ?)").run(upTo, name, upTo)
}

/** The parts of all logs, oldest first. */
export const all = (db: DatabaseSync): ReadonlyMap<LogId.LogId, ReadonlyArray<Part>> => {
  const logs = new Map<LogId.LogId, Array<Part>>()
  for (const row of db.prepare("SELECT * FROM log ORDER BY name, part").all()) {
    const upTo = row["up_to"] === null ? Infinity : Number(row["up_to"])
    const part = open(db, Number(row["id"]), upTo, row["used"] === 1)
    const name = row["name"] as LogId.LogId
    logs.set(name, [...(logs.get(name) ?? []), part])
  }
  return logs
}

/**
 * Puts a batch into a part, inside a transaction. A large one, as catch-up brings them, is cut into several rows: whoever
 * reads one entry reads and checks the row that it is in.
 */
export const insert = (part: Part, batch: EntryBatch.EntryBatch): void => {
  const { id, insert, isUsed, use } = part
  if (!isUsed) use.run(id)
  for (const row of EntryBatch.split(batch, maxRowBytes)) {
    insert.run(EntryBatch.last(row), row.from, id, row.prevChain, row.chain, row.bytes)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** The most bytes of entries in a row, unless one entry is larger: what a page of SQLite has room for beside the rest. */
const maxRowBytes = 3968

const open = (db: DatabaseSync, id: number, upTo: number, isUsed: boolean): Part => ({
  id,
  upTo,
  isUsed,
  use: db.prepare("UPDATE log SET used = 1 WHERE id = ?"),
  begin: db.prepare("BEGIN"),
  commit: db.prepare("COMMIT"),
  insert: db.prepare(`INSERT INTO batch_${id} VALUES (?, ?, ?, ?, ?, ?)`),
  rows: db.prepare(`SELECT * FROM batch_${id} WHERE last > ? ORDER BY last`),
  newest: db.prepare(`SELECT * FROM batch_${id} ORDER BY last DESC LIMIT 1`),
  rowAfter: db.prepare(`SELECT * FROM batch_${id} WHERE last > ? ORDER BY last LIMIT 1`),
  endBefore: db.prepare(`SELECT last, chain FROM batch_${id} WHERE last < ? ORDER BY last DESC LIMIT 1`)
})
