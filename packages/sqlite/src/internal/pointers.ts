/**
 * The tables of the record index: which write of a key is the newest, and how far the logs are covered. What SQLite
 * throws comes through.
 */
import type { LogId } from "@quorum/core"
import { RecordIndex, type RecordKey } from "@quorum/core/adapter"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Database from "./database.ts"

/** Prepares the statements. */
export const make = (db: DatabaseSync) => {
  const ids = new Map<string, number>()
  const names = new Map<number, LogId.LogId>()
  const know = (id: number, log: LogId.LogId): void => {
    ids.set(log, id)
    names.set(id, log)
  }
  for (const row of db.prepare("SELECT id, name FROM log").all()) know(Number(row["id"]), row["name"] as LogId.LogId)
  const insertLog = db.prepare("INSERT INTO log (name, seq, checksum) VALUES (?, 0, ?) ON CONFLICT DO NOTHING")
  const selectLog = db.prepare("SELECT id FROM log WHERE name = ?")
  /** The logs that the transaction under way is the first to name. */
  const news: Array<LogId.LogId> = []
  const idOf = (log: LogId.LogId): number => {
    const known = ids.get(log)
    if (known !== undefined) return known
    insertLog.run(log, RecordIndex.checkOfProgress(log, 0))
    const id = Number(selectLog.get(log)?.["id"])
    know(id, log)
    news.push(log)
    return id
  }
  /** Forgets the logs that a transaction named which did not take place. Asks nothing of a file that just failed. */
  const forgetNews = (): void => {
    for (const log of news) {
      names.delete(ids.get(log)!)
      ids.delete(log)
    }
  }
  const setProgress = db.prepare("UPDATE log SET seq = ?, checksum = ? WHERE id = ?")
  // The order of `RecordIndex.compare`. Names of logs are ASCII, so SQLite orders them as JavaScript does.
  const upsertOf = (rows: number) =>
    db.prepare(`INSERT INTO pointer VALUES ${Array(rows)
      .fill(`(${Array(columns).fill("?").join()})`)
      .join()} ON CONFLICT DO UPDATE SET
    log = excluded.log, seq = excluded.seq, wall_time = excluded.wall_time, logical = excluded.logical,
    tie = excluded.tie, deleted = excluded.deleted, checksum = excluded.checksum
    WHERE CASE
      WHEN excluded.wall_time <> wall_time THEN excluded.wall_time > wall_time
      WHEN excluded.logical <> logical THEN excluded.logical > logical
      WHEN excluded.tie <> tie THEN excluded.tie > tie
      WHEN excluded.log = log THEN excluded.seq > seq
      ELSE (SELECT name FROM log WHERE id = excluded.log) > (SELECT name FROM log WHERE id = pointer.log)
    END`)
  const upsertMany = upsertOf(rowsAtOnce)
  const upsertOne = upsertOf(1)
  const manyValues = Array.from<string | number>({ length: rowsAtOnce * columns })
  const oneRow = Array.from<string | number>({ length: columns })
  const fill = (values: Array<string | number>, at: number, pointer: RecordIndex.Pointer): void => {
    values[at] = pointer.namespace
    values[at + 1] = pointer.key
    values[at + 2] = idOf(pointer.log)
    values[at + 3] = pointer.seq
    values[at + 4] = pointer.clock.wallTime
    values[at + 5] = pointer.clock.logical
    values[at + 6] = pointer.tie
    values[at + 7] = pointer.deleted ? 1 : 0
    values[at + 8] = RecordIndex.checkOf(pointer)
  }
  const upsert = (pointers: ReadonlyArray<RecordIndex.Pointer>): void => {
    const inFull = pointers.length - (pointers.length % rowsAtOnce)
    for (let i = 0; i < inFull; i += rowsAtOnce) {
      for (let row = 0; row < rowsAtOnce; row++) fill(manyValues, row * columns, pointers[i + row]!)
      upsertMany.run(...manyValues)
    }
    for (let i = inFull; i < pointers.length; i++) {
      fill(oneRow, 0, pointers[i]!)
      upsertOne.run(...oneRow)
    }
  }
  const remove = db.prepare("DELETE FROM pointer WHERE namespace = ? AND key = ? AND log = ? AND seq = ?")
  // Rows as arrays: measured, a row with names costs half as much again.
  const get = db.prepare(
    "SELECT log, seq, wall_time, logical, tie, deleted, checksum FROM pointer WHERE namespace = ? AND key = ?"
  )
  get.setReturnArrays(true)
  // Many keys in one call: measured, 2.5 µs a key where one at a time costs 4.1.
  const getMany = db.prepare(
    `SELECT log, seq, wall_time, logical, tie, deleted, checksum, wanted.key FROM json_each(?) wanted
     CROSS JOIN pointer ON namespace = ? AND pointer.key = wanted.value`
  )
  getMany.setReturnArrays(true)
  const scanOf = (to: string, direction: string) => {
    const statement = db.prepare(
      `SELECT log, seq, wall_time, logical, tie, deleted, checksum, namespace, key FROM pointer WHERE (namespace, key) >= (?, ?) ${to}
       ORDER BY namespace ${direction}, key ${direction} LIMIT ?`
    )
    statement.setReturnArrays(true)
    return statement
  }
  const bounded = "AND (namespace, key) < (?, ?)"
  const forwards = { all: scanOf("", "ASC"), upTo: scanOf(bounded, "ASC") }
  const backwards = { all: scanOf("", "DESC"), upTo: scanOf(bounded, "DESC") }
  const logOf = (id: number): LogId.LogId => {
    const log = names.get(id)
    if (log === undefined) throw Database.damaged(`a row of the record index names log ${id}, which is none`)
    return log
  }
  const pointerOf = (namespace: string, key: string, columns: Columns): RecordIndex.Pointer => {
    const [log, seq, wallTime, logical, tie, deleted, checksum] = columns
    const pointer = { namespace, key, log: logOf(log), seq, clock: { wallTime, logical }, tie, deleted: deleted === 1 }
    const isText = typeof namespace === "string" && typeof key === "string" && typeof tie === "string"
    if (isText && checksum === RecordIndex.checkOf(pointer)) return pointer
    throw Database.damaged("a pointer of the record index is damaged")
  }

  return {
    progress: (): RecordIndex.Progress => progressOf(db),
    /** All or nothing. */
    merge: (pointers: ReadonlyArray<RecordIndex.Pointer>, progress: RecordIndex.Progress): void => {
      news.length = 0
      try {
        Database.transaction(db, () => {
          upsert(pointers)
          for (const [log, seq] of progress) setProgress.run(seq, RecordIndex.checkOfProgress(log, seq), idOf(log))
        })
      } catch (cause) {
        forgetNews()
        throw cause
      }
    },
    /** All or nothing. */
    forget: (pointers: ReadonlyArray<RecordIndex.Pointer>): void =>
      Database.transaction(db, () => {
        for (const { key, log, namespace, seq } of pointers) remove.run(namespace, key, ids.get(log) ?? -1, seq)
      }),
    get: (namespace: string, key: string): RecordIndex.Pointer | undefined => {
      const row = get.get(namespace, key) as unknown as Columns | undefined
      return row && pointerOf(namespace, key, row)
    },
    getAll: (keys: ReadonlyArray<RecordKey.RecordKey>): ReadonlyArray<RecordIndex.Pointer | undefined> => {
      const found = Array.from<RecordIndex.Pointer | undefined>({ length: keys.length })
      for (let from = 0, to = 1; from < keys.length; from = to++) {
        const { namespace } = keys[from]!
        while (keys[to]?.namespace === namespace) to++
        const wanted = JSON.stringify(keys.slice(from, to).map(({ key }) => key))
        for (const row of getMany.all(wanted, namespace) as unknown as ReadonlyArray<NumberedColumns>) {
          found[from + row[7]] = pointerOf(namespace, keys[from + row[7]]!.key, row)
        }
      }
      return found
    },
    scan: ({ from = first, limit, reverse = false, to }: RecordIndex.Scan): ReadonlyArray<RecordIndex.Pointer> => {
      const statements = reverse ? backwards : forwards
      const rows =
        to === undefined
          ? statements.all.all(from.namespace, from.key, limit)
          : statements.upTo.all(from.namespace, from.key, to.namespace, to.key, limit)
      return (rows as unknown as ReadonlyArray<NamedColumns>).map((row) => pointerOf(row[7], row[8], row))
    }
  }
}

/** How far the logs are covered. Throws where that is damaged. */
export const progressOf = (db: DatabaseSync): RecordIndex.Progress => {
  const found = new Map<LogId.LogId, number>()
  for (const { checksum, name, seq } of db
    .prepare("SELECT name, seq, checksum FROM log")
    .all() as unknown as ReadonlyArray<Covered>) {
    if (checksum !== RecordIndex.checkOfProgress(name, seq))
      throw Database.damaged("how far the record index goes is damaged")
    if (seq > 0) found.set(name, seq)
  }
  return found
}

// ---------------------------------------------------------------------------------------------------------------------

/** How far a log is covered. */
interface Covered {
  readonly name: LogId.LogId
  readonly seq: number
  readonly checksum: number
}

/** What is asked of one key, in this order. */
type Columns = readonly [...OfPointer, ...ReadonlyArray<unknown>]

/** What is asked of many keys, in this order, with which of them it is. */
type NumberedColumns = readonly [...OfPointer, number]

/** What is asked of a range of keys, in this order. */
type NamedColumns = readonly [...OfPointer, string, string]

type OfPointer = [number, number, number, number, RecordIndex.Pointer["tie"], number, number]

/** Before every key. */
const first: RecordKey.RecordKey = { namespace: "", key: "" }

/** How many pointers one statement takes: measured, 16 cost 2.2 µs each where one at a time costs 3.0. */
const rowsAtOnce = 16

/** How many columns a pointer has. */
const columns = 9
