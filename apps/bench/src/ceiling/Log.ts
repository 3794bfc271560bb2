/**
 * The ceiling's log: contiguous batches of entries in a SQLite file, one row and one fsync per batch. What is left out
 * on purpose: checksums, checks of what is read, the index of keys.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

/** Entries `first … first + count - 1`, their bytes one after the other. */
export interface Batch {
  readonly first: number
  readonly count: number
  readonly bytes: Uint8Array
}

/** The file of a replica. */
export const fileOf = (folder: string): string => join(folder, "ceiling.db")

/** Opens the log in a folder, or creates it. */
export const open = (folder: string) => {
  mkdirSync(folder, { recursive: true })
  const db = new DatabaseSync(fileOf(folder))
  db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
  db.exec("CREATE TABLE IF NOT EXISTS batch (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, bytes BLOB NOT NULL)")
  const insert = db.prepare("INSERT INTO batch VALUES (?, ?, ?)")
  let head = Number(db.prepare("SELECT max(last) AS head FROM batch").get()?.["head"] ?? 0)
  return {
    head: () => head,
    /** Durable when it returns. */
    append: ({ bytes, count, first }: Batch): void => {
      if (first !== head + 1) throw new Error(`a gap: entry ${first} after ${head}`)
      insert.run(first + count - 1, first, bytes)
      head = first + count - 1
    },
    /** All batches, in order. */
    batches: (): ReadonlyArray<Batch> =>
      db
        .prepare("SELECT first, last, bytes FROM batch ORDER BY last")
        .all()
        .map(({ bytes, first, last }) => ({
          first: Number(first),
          count: Number(last) - Number(first) + 1,
          bytes: bytes as Uint8Array
        })),
    close: (): void => db.close()
  }
}
