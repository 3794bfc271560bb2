/**
 * Opening a SQLite file that belongs to Quorum, and naming what goes wrong with it.
 *
 * What is synchronous here throws; {@link storeError} turns whatever was thrown into a `StoreError`.
 */
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect } from "effect"
import type { Scope } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync } from "./nodeSqlite.ts"

/** What kind of file it is, and how it is created. */
export interface Kind {
  /** SQLite's `application_id`: tells our files from those of other programs. */
  readonly applicationId: number
  /** SQLite's `user_version`: the version of the tables. */
  readonly version: number
  /** Memory for cached pages, in KiB. */
  readonly cacheKiB: number
  /** The most that the file may grow to, in bytes. */
  readonly maxBytes?: number | undefined
  /** Creates the tables and says whose they are; runs inside the transaction that creates the file's content. */
  readonly create: (db: DatabaseSync) => void
}

/** A SQLite file of another program. Never touched, never deleted. */
export class ForeignFile extends Error {}

/**
 * Opens a file of this kind, or creates it with its folder. One process at a time: the lock is taken here, and goes
 * with the process, however it ends.
 *
 * Never open the file in this process by other means (`fs.readFile`): closing any descriptor of it would drop the lock.
 */
export const open = (file: string, kind: Kind): DatabaseSync => {
  checkNames(file)
  const db = new DatabaseSync(file, { timeout: 0 })
  try {
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 4096; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE")
    // Still in SQLite's first journal mode when the file is new, so the tables and whose they are come into being in
    // one step: a crash before it leaves an empty file, which counts as none, and a crash after it a complete store.
    const found = read(db)
    if (found.application_id === 0 && found.user_version === 0 && found.tables === 0) {
      kind.create(db)
      db.exec(`PRAGMA application_id = ${kind.applicationId}; PRAGMA user_version = ${kind.version}`)
    } else if (found.application_id !== kind.applicationId) {
      throw new ForeignFile(`${file} is the SQLite file of another program; choose another folder`)
    } else if (found.user_version !== kind.version) {
      throw damaged(
        `${file} has tables of version ${found.user_version}, and this @quorum/sqlite knows version ${kind.version}; ` +
          "use the version of @quorum/sqlite that wrote it"
      )
    }
    db.exec(`COMMIT; PRAGMA cache_size = -${kind.cacheKiB}`)
    // The write-ahead log is reset after every checkpoint of 1,000 pages, and cut down to 16 MiB after a large batch.
    db.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 16777216")
    if (kind.maxBytes !== undefined) db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(kind.maxBytes / 4096))}`)
    return db
  } catch (cause) {
    db.close()
    throw cause
  }
}

/**
 * Makes durable what a start finds in a file of SQLite and its write-ahead log, and their names in the folder: what a
 * process that was killed had written, and not synced, is read from the memory of the operating system, and a power
 * loss after it was announced would take it back (law L54).
 *
 * Before the file is opened, and never while this process has it open: closing any descriptor of it drops the lock.
 */
export const syncFound = (file: string): void => {
  checkNames(file)
  if (inUse.has(fileKey(file))) throw new LockedHere()
  for (const name of [file, `${file}-wal`]) if (fs.existsSync(name)) sync(name, "r+")
  syncFolder(path.dirname(file))
}

/** Notes that this process has a file open; the result ends that. */
export const noteUse = (file: string): (() => void) => {
  const key = fileKey(file)
  inUse.add(key)
  return () => void inUse.delete(key)
}

/** The file is open in this process already. */
class LockedHere extends Error {
  readonly errcode = 5
}

/**
 * Whether a file is still where a restart would look for it (law L59). Made when it was opened; the result says whether
 * there is nothing at its name now, or something else. One call to the system each time.
 */
export const watchPlace = (file: string): (() => boolean) => {
  let opened = placeOf(file)
  return () => {
    const now = placeOf(file)
    // The write-ahead log comes into being with the first write.
    opened ??= now
    return now !== opened
  }
}

/** Opens something on a file, and closes it with the scope. */
export const scoped = <A extends { readonly close: () => void }>(
  file: string,
  open: () => A
): Effect.Effect<A, ReplicaStore.StoreError, Scope.Scope> => {
  const attempt = <B>(f: () => B) => Effect.try({ try: f, catch: (cause) => storeError(file, cause) })
  return Effect.acquireRelease(attempt(open), ({ close }) =>
    Effect.catch(attempt(close), (error) => Effect.logWarning(`closing: ${error.message}`))
  )
}

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

/** Says that what is stored cannot be used. */
export const damaged = (detail: string): ReplicaStore.StoreError =>
  new ReplicaStore.StoreError({ reason: "corrupt", detail })

/** What a call after the end of the scope fails with. */
export const closed = (file: string): ReplicaStore.StoreError =>
  new ReplicaStore.StoreError({ reason: "unavailable", detail: `${file} was closed` })

/** SQLite's extended result code of a thrown value; undefined when it did not come from SQLite. */
export const resultCode = (cause: unknown): number | undefined =>
  cause instanceof Error && "errcode" in cause && typeof cause.errcode === "number" ? cause.errcode : undefined

/** Names a thrown value: the reason, the file and the remedy. */
export const storeError = (file: string, cause: unknown): ReplicaStore.StoreError => {
  if (cause instanceof ReplicaStore.StoreError) return cause
  const fail = (reason: ReplicaStore.StoreError["reason"], detail: string) =>
    new ReplicaStore.StoreError({ reason, detail, cause })
  const message = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof ForeignFile) return fail("corrupt", message)
  // The low byte is the primary code: https://www.sqlite.org/rescode.html
  switch ((resultCode(cause) ?? -1) & 0xff) {
    case 5:
    case 6:
      return fail("locked", `another process has ${file} open; stop that process, or choose another folder`)
    case 8:
      return fail("read_only", `${file} cannot be written (${message}); make the file and its folder writable`)
    case 10:
      return fail("unavailable", `reading or writing ${file} failed (${message}); check the disk`)
    case 11:
    case 26:
      return fail(
        "corrupt",
        `${file} is damaged (${message}); restore it, or delete it and let the peers fill a new one`
      )
    case 13:
      return fail("disk_full", `no room to write ${file}; free space on its disk or raise maxBytes, then try again`)
  }
  switch (cause instanceof Error && "code" in cause ? cause.code : undefined) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return fail("read_only", `${file} cannot be written (${message}); make the file and its folder writable`)
    case "ENOSPC":
    case "EDQUOT":
      return fail("disk_full", `no room to create ${file}; free space on its disk, then try again`)
  }
  return fail("unavailable", `${file} cannot be used: ${message}`)
}

/** Deletes a file of SQLite with what belongs to it. */
export const remove = (file: string): void => {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) fs.rmSync(file + suffix, { force: true })
}

// ---------------------------------------------------------------------------------------------------------------------

/** Makes the folder, and checks that what has the names of the files can be used. */
const checkNames = (file: string): void => {
  makeFolder(path.dirname(file))
  for (const name of [path.dirname(file), file, `${file}-wal`]) {
    // SQLite would fall back to opening read-only and fail later, with a message that names neither file nor cause.
    if (fs.existsSync(name)) fs.accessSync(name, fs.constants.R_OK | fs.constants.W_OK)
  }
  for (const name of [file, `${file}-wal`]) {
    const found = fs.lstatSync(name, { throwIfNoEntry: false })
    // What a link leads to may belong to somebody else, or be another one after the next restart.
    if (found?.isSymbolicLink()) throw new Error(`${name} is a symbolic link; put the file itself there`)
    if (found !== undefined && !found.isFile()) throw new Error(`${name} is not a file; move it away`)
  }
}

const read = (db: DatabaseSync) =>
  db
    .prepare("SELECT *, (SELECT count(*) FROM sqlite_schema) AS tables FROM pragma_application_id, pragma_user_version")
    .get() as { readonly application_id: number; readonly user_version: number; readonly tables: number }

/**
 * Creates a folder and those above it, each durably: without the fsync of the parent a power loss could take the whole
 * store away. (`fs.mkdirSync` with `recursive` does not do that, and never returns for a folder under `/proc`.)
 */
const makeFolder = (folder: string): void => {
  if (fs.existsSync(folder)) {
    if (!fs.statSync(folder).isDirectory()) throw new Error(`${folder} is a file, and a folder is needed there`)
    return
  }
  const parent = path.dirname(folder)
  makeFolder(parent)
  // What is in it is for this user alone.
  fs.mkdirSync(folder, { mode: 0o700 })
  syncFolder(parent)
}

const syncFolder = (folder: string): void => {
  // Windows cannot open a folder, and needs no such thing.
  if (process.platform !== "win32") sync(folder, "r")
}

const sync = (name: string, flags: "r" | "r+"): void => {
  const descriptor = fs.openSync(name, flags)
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Which file a name leads to; `undefined` when to none. */
const placeOf = (name: string): string | undefined => {
  const found = fs.statSync(name, { throwIfNoEntry: false })
  return found === undefined ? undefined : `${found.dev}:${found.ino}`
}

/** A file by what it is, or by its name while it is none. */
const fileKey = (file: string): string => placeOf(file) ?? path.resolve(file)

/** The files that this process has open, whichever copy of this package opened them. */
const inUse: Set<string> = ((globalThis as Record<symbol, unknown>)[Symbol.for("@quorum/sqlite/inUse")] ??=
  new Set<string>()) as Set<string>
