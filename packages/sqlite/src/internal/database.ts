/**
 * Opening a SQLite file that belongs to Quorum, and naming what goes wrong with it.
 *
 * What is synchronous here throws; {@link storeError} turns whatever was thrown into a `StoreError`.
 */
import { ReplicaStore, Thrown } from "@quorum/core/adapter"
import { Effect } from "effect"
import type { Scope } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Files from "./files.ts"
import { DatabaseSync } from "./nodeSqlite.ts"

/** Whose a file is. */
export interface Brand {
  /** SQLite's `application_id`: tells our files from those of other programs. */
  readonly applicationId: number
  /** SQLite's `user_version`: the version of the tables. */
  readonly version: number
}

/** The file of the logs, "QLOG". */
export const logs: Brand = { applicationId: 0x514c4f47, version: 5 }

/** The file of the index, "QIDX". */
export const index: Brand = { applicationId: 0x51494458, version: 4 }

/** What kind of file it is, and how it is created. */
export interface Kind extends Brand {
  /** Memory for cached pages, in KiB. */
  readonly cacheKiB: number
  /** The most that the file may grow to, in bytes. */
  readonly maxBytes?: number | undefined
  /** Whether pages that are free can be given back to the file system, see {@link shrink}. */
  readonly shrinks?: boolean
  /** Creates the tables and says whose they are; runs inside the transaction that creates the file's content. */
  readonly create: (db: DatabaseSync) => void
}

/** A SQLite file of another program. Never touched, never deleted. */
export class ForeignFile extends Error {}

/**
 * Opens a file of this kind, which was prepared (`Files.prepare`), and makes it one if it is new. One process at a time:
 * the lock is taken here, and goes with the process, however it ends.
 *
 * Never open the file in this process by other means (`fs.readFile`): closing any descriptor of it would drop the lock.
 */
export const open = (file: string, kind: Kind): DatabaseSync => {
  const db = new DatabaseSync(file, { timeout: 0 })
  try {
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 4096; PRAGMA synchronous = FULL")
    // Of a file that is there it would be a write, before it is known whose it is.
    if (kind.shrinks === true && fs.statSync(file).size === 0) db.exec("PRAGMA auto_vacuum = INCREMENTAL")
    db.exec("BEGIN EXCLUSIVE")
    // Still in SQLite's first journal mode when the file is new, so the tables and whose they are come into being in
    // one step: a crash before it leaves an empty file, which counts as none, and a crash after it a complete store.
    const found = read(db)
    if (isNew(found)) {
      kind.create(db)
      db.exec(`PRAGMA application_id = ${kind.applicationId}; PRAGMA user_version = ${kind.version}`)
    } else {
      checkBrand(file, kind, found)
    }
    db.exec(`COMMIT; PRAGMA cache_size = -${kind.cacheKiB}`)
    // The write-ahead log is reset after every checkpoint of 250 pages, and cut down to 16 MiB after a large batch. With
    // 1,000 pages a merge of pointers cost the same, and the slowest in a hundred 1.9 ms instead of 0.7.
    db.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 250; PRAGMA journal_size_limit = 16777216")
    if (kind.maxBytes !== undefined) db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(kind.maxBytes / 4096))}`)
    return db
  } catch (cause) {
    db.close()
    throw cause
  }
}

/** Whether nothing was ever written to a file: it is empty, or what was to be in it was not committed. */
export const isNew = (found: ReturnType<typeof read>): boolean =>
  found.application_id === 0 && found.user_version === 0 && found.tables === 0

/** Throws when a file is another program's, or of another version. */
export const checkBrand = (file: string, { applicationId, version }: Brand, found: ReturnType<typeof read>): void => {
  if (found.application_id !== applicationId) {
    throw new ForeignFile(`${file} is the SQLite file of another program; choose another folder`)
  }
  if (found.user_version === version) return
  throw damaged(
    `${file} has tables of version ${found.user_version}, and this @quorum/sqlite knows version ${version}; ` +
      "use the version of @quorum/sqlite that wrote it"
  )
}

/**
 * Whether a table is as it was written. Those that say whose a file is and what is in it have an index with all that they
 * have: each is there twice, and a bit that flips in one of the two shows.
 */
export const isWhole = (db: DatabaseSync, table: string): boolean =>
  db.prepare(`PRAGMA integrity_check(${table})`).get()?.["integrity_check"] === "ok"

/**
 * Moves what the write-ahead log holds into the file, and syncs it. A process whose sync failed leaves frames that the
 * operating system may take for written although they are not, and a second sync of the same file would not say so;
 * copied from the log, they are written anew. Without room for that, the log stays what it is. Returns whether all of it
 * was moved.
 */
export const checkpoint = (db: DatabaseSync): boolean => {
  try {
    const done = db.prepare("PRAGMA wal_checkpoint(PASSIVE)").get() as { log: number; checkpointed: number }
    return done.checkpointed === done.log
  } catch (cause) {
    if (!isFull(cause)) throw cause
    return false
  }
}

/**
 * Gives the pages that are free back to the file system, inside a transaction: pages from the end of the file are moved
 * into them. Throws, and has changed nothing once that is rolled back, when one that would be moved is damaged.
 */
export const shrink = (db: DatabaseSync): void => db.exec("PRAGMA incremental_vacuum")

/**
 * How much room a file takes, with what is in its write-ahead log and not moved yet, how much of that is free, and how much
 * more its disk and its bound leave to it.
 */
export const spaceOf = (file: string, db: DatabaseSync): Effect.Effect<ReplicaStore.Space> => {
  const counts = "pragma_page_count, pragma_freelist_count, pragma_max_page_count"
  const found = db.prepare(`SELECT page_count, freelist_count, max_page_count FROM ${counts}`).get()
  const bytes = (name: string): number => Number(found?.[name]) * 4096
  const [taken, most] = [bytes("page_count"), bytes("max_page_count")]
  return Effect.map(Files.diskOf(file), (disk) => ({
    taken,
    free: bytes("freelist_count"),
    ...(disk && { limit: { left: Math.min(disk.left, Math.max(0, most - taken)), of: Math.min(disk.of, most) } })
  }))
}

/** Whether something failed because a file could not be made longer. */
export const isFull = (cause: unknown): boolean => noRoom.has(resultCode(cause))

/** SQLite's codes for a file that cannot be made longer: full, and a write that failed, as with a quota. */
const noRoom = new Set<number | undefined>([13, 778])

/** Opens something on a file, and closes it with the scope. */
export const scoped = <A extends { readonly close: Effect.Effect<void, ReplicaStore.StoreError> }>(
  file: string,
  open: () => A
): Effect.Effect<A, ReplicaStore.StoreError, Scope.Scope> =>
  Effect.acquireRelease(Effect.try({ try: open, catch: (cause) => storeError(file, cause) }), ({ close }) =>
    Effect.catch(close, (error) => Effect.logWarning(`closing: ${error.message}`))
  )

/** Runs `f` in a transaction: all of it or nothing. */
export const transaction = <A>(db: DatabaseSync, f: () => A): A => {
  db.exec("BEGIN")
  try {
    const result = f()
    db.exec("COMMIT")
    return result
  } catch (cause) {
    // SQLite has rolled back already after some errors.
    if (db.isTransaction) db.exec("ROLLBACK")
    throw cause
  }
}

/** What to do about a store that cannot be used as it is. It is not emptied by itself (decision 0081). */
export const remedy = "restore it, or start with an empty folder, which the peers fill"

/** Says that what is stored cannot be used. */
export const damaged = (detail: string): ReplicaStore.StoreError =>
  new ReplicaStore.StoreError({ reason: "corrupt", detail })

/** What a call after the end of the scope fails with. */
export const closed = (file: string): ReplicaStore.StoreError =>
  new ReplicaStore.StoreError({ reason: "unavailable", detail: `${file} was closed` })

/** There is no room for what was to be written. */
export const full = (file: string, cause?: unknown): ReplicaStore.StoreError =>
  new ReplicaStore.StoreError({
    reason: "disk_full",
    detail: `no room to write ${file}; free space on its disk or raise maxBytes, then try again`,
    cause
  })

/** SQLite's extended result code of a thrown value; undefined when it did not come from SQLite. */
export const resultCode = (cause: unknown): number | undefined =>
  cause instanceof Error && "errcode" in cause && typeof cause.errcode === "number" ? cause.errcode : undefined

/** Names a thrown value: the reason, the file and the remedy. */
export const storeError = (file: string, cause: unknown): ReplicaStore.StoreError => {
  if (cause instanceof ReplicaStore.StoreError) return cause
  const fail = (reason: ReplicaStore.StoreError["reason"], detail: string) =>
    new ReplicaStore.StoreError({ reason, detail, cause })
  const message = Thrown.messageOf(cause)
  if (cause instanceof ForeignFile) return fail("corrupt", message)
  // The low byte is the primary code: https://www.sqlite.org/rescode.html
  switch ((resultCode(cause) ?? -1) & 0xff) {
    case 5:
    case 6:
      return fail("locked", `another process has ${file} open; stop that process, or choose another folder`)
    case 8:
      return fail(
        "read_only",
        `${file} cannot be written (${message}); run as the user whose they are, or make the file and its folder writable for this one`
      )
    case 10:
      return fail("unavailable", `reading or writing ${file} failed (${message}); check the disk`)
    // A statement that does not fit the tables: their definitions are damaged.
    case 1:
    case 11:
    case 26:
      return fail("corrupt", `${file} is damaged (${message})${isIndex(file) ? "" : `; ${remedy}`}`)
    case 13:
      return full(file, cause)
  }
  switch (cause instanceof Error && "code" in cause ? cause.code : undefined) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return fail(
        "read_only",
        `${file} cannot be written (${message}); run as the user whose they are, or make the file and its folder writable for this one`
      )
    // A number that is larger than any that is written.
    case "ERR_OUT_OF_RANGE":
      return fail("corrupt", `${file} is damaged (${message})`)
    case "ENOSPC":
    case "EDQUOT":
      return fail("disk_full", `no room to create ${file}; free space on its disk, then try again`)
  }
  return fail("unavailable", `${file} cannot be used: ${message}`)
}

// ---------------------------------------------------------------------------------------------------------------------

/** Whether a file is built again by itself when it is damaged. */
const isIndex = (file: string): boolean => path.basename(file) === Files.indexName

/** Whose a file says that it is. */
export const read = (db: DatabaseSync) =>
  db
    .prepare("SELECT *, (SELECT count(*) FROM sqlite_schema) AS tables FROM pragma_application_id, pragma_user_version")
    .get() as { readonly application_id: number; readonly user_version: number; readonly tables: number }
