/**
 * A part of a log: a table of rows, each with the entries of one append or a part of them.
 *
 * A log begins with one part, which takes what is appended. What is damaged in it is never written over: what is mended
 * goes into another part, and a damaged end is given up by saying how far the parts count and going on in a new one.
 */
import type { LogId } from "@quorum/core"
import { EntryBatch } from "@quorum/core/adapter"
import type { DatabaseSync, StatementSync } from "./nodeSqlite.ts"
import * as Damage from "./damage.ts"
import * as Database from "./database.ts"

/** A part of a log, and its prepared statements. */
export interface Part extends Damage.Table {
  readonly id: number
  /** The last entry that counts of it; infinite unless an end was given up. */
  upTo: number
  /** Whether anything was appended to it: it cannot be empty then. */
  isUsed: boolean
  readonly begin: StatementSync
  readonly insert: StatementSync
  readonly remove: StatementSync
  /** Of the rows that would be removed: the bytes of their pages. */
  readonly size: StatementSync
  readonly use: StatementSync
  readonly commit: StatementSync
  /** The rows with entries after a sequence, in order. */
  readonly rows: StatementSync
}

/** Where the names and parts of the logs are. The index has every column twice, so that damage of one shows. */
export const createLogs = `CREATE TABLE log (id INTEGER PRIMARY KEY, name TEXT NOT NULL, part INTEGER NOT NULL,
  up_to INTEGER, used INTEGER NOT NULL DEFAULT 0, UNIQUE (name, part, up_to, used)) STRICT`

/**
 * The table for a new part: the next, or the first after it that is not damaged. Looked for before the transaction that makes
 * the part: SQLite refuses all writes of one in which a read has met a damaged page.
 */
export const nextTable = (db: DatabaseSync): number => {
  let id = newestOf(db) + 1
  while (!isSpare(db, id)) id++
  return id
}

/** Makes a new part in a table, inside a transaction: the one of this number of a log. */
export const create = (db: DatabaseSync, table: number, name: LogId.LogId, number: number): Part => {
  if (!exists(db, table)) createTable(db, table)
  db.prepare("INSERT INTO log (id, name, part) VALUES (?, ?, ?)").run(table, name, number)
  return open(db, table, Infinity, false)
}

/**
 * Sees to it that there are tables for new parts, at a start. In a file that can shrink, SQLite keeps the first pages of all
 * tables side by side, and moves away what is behind the last of them to make another: where that is damaged no part could
 * be made, just when one is needed to mend it. Where there is no room for them they are made when they are needed.
 */
export const makeSpares = (db: DatabaseSync): void => {
  const first = newestOf(db) + 1
  if (exists(db, first + spares / 2)) return
  const missing = Array.from({ length: spares }, (_, i) => first + i).filter((id) => !exists(db, id))
  try {
    Database.transaction(db, () => missing.forEach((id) => createTable(db, id)))
  } catch (cause) {
    if (!Damage.is(cause) && !Database.isFull(cause)) throw cause
  }
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

/**
 * Removes the rows that end within a range, inside a transaction, and returns the bytes of the pages that they took, or so.
 * Those of other tables stay.
 */
export const remove = (part: Part, from: number, to: number): number => {
  const bytes = Number(part.size.get(from, to, part.id)?.["bytes"] ?? 0)
  if (bytes > 0) part.remove.run(from, to, part.id)
  return bytes
}

/** The most bytes of entries in a row, unless one entry is larger: what a page of SQLite has room for beside the rest. */
export const maxRowBytes = 3968

// ---------------------------------------------------------------------------------------------------------------------

/** How many tables there are for new parts, or half as many at least, a page each. */
const spares = 16

const newestOf = (db: DatabaseSync): number => Number(db.prepare("SELECT max(id) AS id FROM log").get()?.["id"] ?? 0)

const exists = (db: DatabaseSync, id: number): boolean =>
  db.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?").get(`batch_${id}`) !== undefined

/** Whether a table can take a part, or can be made. What shows anything is damaged, and left alone. */
const isSpare = (db: DatabaseSync, id: number): boolean => {
  if (!exists(db, id)) return true
  try {
    return db.prepare(`SELECT 1 FROM batch_${id}`).get() === undefined
  } catch (cause) {
    if (!Damage.is(cause)) throw cause
    return false
  }
}

/**
 * The primary key is the row id, so an append goes to the right edge of the B-tree. Each row says of which part it is: a page
 * that is where another belongs is in order by itself.
 */
const createTable = (db: DatabaseSync, id: number): void =>
  db.exec(`CREATE TABLE batch_${id} (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, part INTEGER NOT NULL,
    prev_chain TEXT NOT NULL, chain TEXT NOT NULL, bytes BLOB NOT NULL) STRICT`)

const open = (db: DatabaseSync, id: number, upTo: number, isUsed: boolean): Part => ({
  id,
  upTo,
  isUsed,
  use: db.prepare("UPDATE log SET used = 1 WHERE id = ?"),
  begin: db.prepare("BEGIN"),
  commit: db.prepare("COMMIT"),
  insert: db.prepare(`INSERT INTO batch_${id} VALUES (?, ?, ?, ?, ?, ?)`),
  size: db.prepare(
    `SELECT sum(max(4096, length(bytes))) AS bytes FROM batch_${id} WHERE last BETWEEN ? AND ? AND part = ?`
  ),
  remove: db.prepare(`DELETE FROM batch_${id} WHERE last BETWEEN ? AND ? AND part = ?`),
  rows: db.prepare(`SELECT * FROM batch_${id} WHERE last > ? ORDER BY last`),
  newest: db.prepare(`SELECT * FROM batch_${id} ORDER BY last DESC LIMIT 1`),
  rowAfter: named(db.prepare(`SELECT * FROM batch_${id} WHERE last > ? ORDER BY last LIMIT 1`)),
  endBefore: db.prepare(`SELECT last, chain FROM batch_${id} WHERE last < ? ORDER BY last DESC LIMIT 1`)
})

/** Looks a row up. It comes as an array, whose values are named here: measured, names from SQLite cost a fifth of it. */
const named = (statement: StatementSync): Damage.LookUp => {
  statement.setReturnArrays(true)
  return {
    get: (...parameters) => {
      const row = statement.get(...parameters) as unknown as ReadonlyArray<unknown> | undefined
      if (row === undefined) return undefined
      const [last, first, part, prev_chain, chain, bytes] = row
      return { last, first, part, prev_chain, chain, bytes }
    }
  }
}
