/**
 * The tables of the record index: which write of a key is the newest, and how far the logs are covered. What SQLite
 * throws comes through.
 */
import type { LogId } from "@quorum/core"
import { RecordIndex, type RecordKey } from "@quorum/core/adapter"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Database from "./database.ts"
import * as LogNumbers from "./logNumbers.ts"
import * as Ties from "./ties.ts"
import * as Upserts from "./upserts.ts"

/** Prepares the statements. */
export const make = (db: DatabaseSync) => {
  const numbers = LogNumbers.make(db)
  const upsert = Upserts.make(db, numbers.of)
  const setProgress = db.prepare("UPDATE log SET seq = ?, checksum = ? WHERE id = ?")
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
  const pointerOf = (namespace: string, key: string, columns: Columns): RecordIndex.Pointer => {
    const [log, seq, wallTime, logical, tie, deleted, checksum] = columns
    const pointer: RecordIndex.Pointer = {
      namespace,
      key,
      log: numbers.log(log),
      seq,
      clock: { wallTime, logical },
      tie: Ties.read(tie),
      deleted: deleted === 1
    }
    const isText = typeof namespace === "string" && typeof key === "string"
    if (isText && checksum === RecordIndex.checkOf(pointer)) return pointer
    throw Database.damaged("a pointer of the record index is damaged")
  }

  return {
    progress: (): RecordIndex.Progress => progressOf(db),
    /** All or nothing. */
    merge: (pointers: ReadonlyArray<RecordIndex.Pointer>, progress: RecordIndex.Progress): void => {
      numbers.begin()
      try {
        Database.transaction(db, () => {
          upsert(pointers)
          for (const [log, seq] of progress)
            setProgress.run(seq, RecordIndex.checkOfProgress(log, seq), numbers.of(log))
        })
      } catch (cause) {
        numbers.takeBack()
        throw cause
      }
    },
    /** All or nothing. */
    forget: (pointers: ReadonlyArray<RecordIndex.Pointer>): void =>
      Database.transaction(db, () => {
        for (const { key, log, namespace, seq } of pointers) remove.run(namespace, key, numbers.known(log) ?? -1, seq)
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

type OfPointer = [number, number, number, number, Uint8Array, number, number]

/** Before every key. */
const first: RecordKey.RecordKey = { namespace: "", key: "" }
