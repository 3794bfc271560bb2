/**
 * The folder of a store: made for this user alone, used by one process at a time, and watched, because what is written to
 * a file without a name is lost to the next start.
 */
import type { ReplicaStore } from "@quorum/core/adapter"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type * as NodeSqlite from "node:sqlite"

/** Where the record index of a store is, in its folder. */
export const indexName = "index.mdb"

/** The files of an environment of LMDB: its data, and the table of its readers. */
export const filesOf = (file: string): ReadonlyArray<string> => [file, `${file}-lock`]

/**
 * Whether there is a file. Throws where what has its name is none: who opens a pipe waits for ever for what comes out of it.
 */
export const isThere = (name: string): boolean => {
  const found = fs.lstatSync(name, { throwIfNoEntry: false })
  // What a link leads to may belong to somebody else, or be another one after the next restart.
  if (found?.isSymbolicLink()) throw new Error(`${name} is a symbolic link; put the file itself there`)
  if (found !== undefined && !found.isFile()) throw new Error(`${name} is not a file; move it away`)
  return found !== undefined
}

/**
 * Makes the folder, durably, and the files in it, empty, which LMDB takes for new ones, all for this user alone; checks
 * that what has their names can be used.
 */
export const prepare = (file: string): void => {
  makeFolder(path.dirname(file))
  for (const name of filesOf(file)) {
    if (isThere(name)) fs.accessSync(name, fs.constants.R_OK | fs.constants.W_OK)
    else fs.closeSync(fs.openSync(name, "a", 0o600))
  }
}

/**
 * What is left of a store, beside a file in which there is nothing: it was removed or emptied, or is not where it was.
 * `undefined` where nothing is, or it is no empty file.
 */
export const leftOf = (file: string): string | undefined => {
  const bytesOf = (name: string): number => fs.statSync(name, { throwIfNoEntry: false })?.size ?? 0
  const index = path.join(path.dirname(file), indexName)
  return bytesOf(file) === 0 && bytesOf(index) > 0 ? index : undefined
}

/**
 * Makes durable what a start finds: what a killed process had handed to the operating system, and nobody has synced
 * since, is in memory alone (law L54).
 */
export const sync = (file: string): void => {
  if (fs.existsSync(file)) syncName(file, "r+")
  syncFolder(path.dirname(file))
}

/**
 * Takes the room that LMDB needs to open an environment, in a folder that this process has. Throws as the system does where
 * there is none: LMDB maps its table of readers, and where a page of that finds no room the system ends the process; and it
 * ends it itself when it cannot begin a new file.
 */
export const takeRoom = (file: string): void => {
  const [data, readers] = [fs.statSync(file), fs.statSync(`${file}-lock`)]
  if (data.size === 0 && roomIn(file) < newBytes) throw Object.assign(new Error("no space left"), { code: "ENOSPC" })
  // LMDB would make it as long without taking the room. What is in it already may be in use.
  if (readers.size < readersBytes) fs.appendFileSync(`${file}-lock`, new Uint8Array(readersBytes - readers.size))
}

/** How many bytes of room the disk of a file has for this user. One that does not say how large it is has no end. */
export const roomIn = (file: string): number => {
  const { bavail, blocks, bsize } = fs.statfsSync(path.dirname(file))
  return blocks === 0 ? Infinity : bavail * bsize
}

/**
 * The room that a file takes, with what its disk has for this user, and in all, where it can be asked. Not on the event
 * loop, which a disk that hangs would hold up.
 */
export const onDisk = (file: string, space: ReplicaStore.Space): Effect.Effect<ReplicaStore.Space> =>
  Effect.promise(() =>
    fs.promises.statfs(path.dirname(file)).then(
      ({ bavail, blocks, bsize }) => ({ ...space, limit: { left: bavail * bsize, of: blocks * bsize } }),
      () => space
    )
  )

/** Deletes the files of an environment. */
export const remove = (file: string): void => {
  for (const name of filesOf(file)) fs.rmSync(name, { force: true })
}

/** Another process, or this one, has the folder open. */
export class Locked extends Error {}

/**
 * Takes a folder for this process; the result gives it back. LMDB lets several processes write, so the lock is that of a
 * SQLite file that stays empty: it goes with the process, however it ends, and Node has no other that does.
 */
export const lock = (folder: string): (() => void) => {
  const sqlite = process.getBuiltinModule?.("node:sqlite") as typeof NodeSqlite | undefined
  if (sqlite === undefined) {
    throw new Error(`@quorum/lmdb needs Node 22.19 or newer; this is ${process.version}`)
  }
  const file = lockOf(folder)
  if (!isThere(file)) fs.closeSync(fs.openSync(file, "a", 0o600))
  const db = new sqlite.DatabaseSync(file, { timeout: 0 })
  try {
    db.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
  } catch (cause) {
    db.close()
    const busy = cause instanceof Error && "errcode" in cause && (cause.errcode === 5 || cause.errcode === 6)
    throw busy ? new Locked() : cause
  }
  return () => db.close()
}

/** Whether a process has a folder, by {@link lock}; nothing in it changes by asking. */
export const isLocked = (folder: string): boolean => {
  const file = lockOf(folder)
  if (!isThere(file)) return false
  const sqlite = process.getBuiltinModule("node:sqlite") as typeof NodeSqlite
  const db = new sqlite.DatabaseSync(file, { readOnly: true, timeout: 0 })
  try {
    db.prepare("SELECT count(*) FROM sqlite_schema").get()
    return false
  } catch (cause) {
    return cause instanceof Error && "errcode" in cause && (cause.errcode === 5 || cause.errcode === 6)
  } finally {
    db.close()
  }
}

/**
 * Whether a file is still where a restart would look for it (law L59). Made when it was opened; the result says whether
 * there is nothing at its name now, or something else. One call to the system each time.
 */
export const watchPlace = (file: string): (() => boolean) => {
  const opened = deviceAndNumber(file)
  return () => deviceAndNumber(file) !== opened
}

// ---------------------------------------------------------------------------------------------------------------------

/** What a new environment takes with its tables and all that a start writes, and as much again, in bytes. */
const newBytes = 128 * 1024

/** How long a table of readers is, in bytes: 126 of them, and what is said of all. Elsewhere than on Linux it may be less. */
const readersBytes = 8272

/** The file whose lock is that of a folder, see {@link lock}. */
const lockOf = (folder: string): string => path.join(folder, "lock.db")

/** Creates a folder and those above it, each durably, with nobody else let in. */
const makeFolder = (folder: string): void => {
  const found = fs.statSync(folder, { throwIfNoEntry: false })
  if (found?.isDirectory()) return
  if (found !== undefined) throw new Error(`${folder} is a file, and a folder is needed there`)
  makeFolder(path.dirname(folder))
  fs.mkdirSync(folder, { mode: 0o700 })
  syncFolder(path.dirname(folder))
}

const syncFolder = (folder: string): void => {
  // Windows cannot open a folder, and needs no such thing.
  if (process.platform !== "win32") syncName(folder, "r")
}

const syncName = (name: string, flags: "r" | "r+"): void => {
  const descriptor = fs.openSync(name, flags)
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

const deviceAndNumber = (name: string): string | undefined => {
  const found = fs.statSync(name, { throwIfNoEntry: false })
  return found === undefined ? undefined : `${found.dev}:${found.ino}`
}
