/**
 * The files of a store by their names: making them, syncing what is found in them, and whether a restart would find
 * them again.
 *
 * Whatever opens a file here closes it before SQLite opens it: closing any descriptor of a file drops the locks that
 * the process has on it. The write-ahead log carries no locks.
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"

/** Where the record index of a store is, in its folder. */
export const indexName = "index.db"

/** Where the write-ahead log of a file is. */
export const walOf = (file: string): string => `${file}-wal`

/** Where the journal is that SQLite undoes a change with which was not committed, while it has no write-ahead log yet. */
export const journalOf = (file: string): string => `${file}-journal`

/**
 * Throws where what has the name of the file, or of one that SQLite reads with it, is no file: it would wait for ever for
 * what comes out of a pipe.
 */
export const checkKind = (file: string): void => {
  for (const name of [file, walOf(file), journalOf(file)]) {
    const found = fs.lstatSync(name, { throwIfNoEntry: false })
    // What a link leads to may belong to somebody else, or be another one after the next restart.
    if (found?.isSymbolicLink()) throw new Error(`${name} is a symbolic link; put the file itself there`)
    if (found !== undefined && !found.isFile()) throw new Error(`${name} is not a file; move it away`)
  }
}

/**
 * Makes the folder and the file, for this user alone, and checks that what has their names can be used. A file that is
 * made here is empty, which SQLite takes for a new one; its write-ahead log gets the same permissions.
 */
export const prepare = (file: string): void => {
  makeFolder(path.dirname(file))
  for (const name of [path.dirname(file), file, walOf(file)]) {
    // SQLite would fall back to opening read-only and fail later, with a message that names neither file nor cause.
    if (fs.existsSync(name)) fs.accessSync(name, fs.constants.R_OK | fs.constants.W_OK)
  }
  checkKind(file)
  if (!fs.existsSync(file)) fs.closeSync(fs.openSync(file, "a", 0o600))
}

/**
 * What is left of a store, beside a file in which there is nothing: it was removed or emptied, or is not where it was.
 * `undefined` where nothing is, or it is no empty file.
 */
export const leftOf = (file: string): string | undefined => {
  const bytesOf = (name: string): number => fs.statSync(name, { throwIfNoEntry: false })?.size ?? 0
  // A file of one byte is an empty one to SQLite.
  if (bytesOf(file) > 1) return undefined
  return [path.join(path.dirname(file), indexName), walOf(file)].find((name) => bytesOf(name) > 0)
}

/** Makes durable what a start finds in a file. Before it is opened, and never while this process has it open. */
export const sync = (file: string): void => {
  if (inUse.has(keyOf(file))) throw new LockedHere()
  if (fs.existsSync(file)) syncName(file, "r+")
}

/**
 * Makes durable what a start finds in the write-ahead log of a file that is open and locked, so that nobody else can
 * have written to it since, and the names in its folder.
 */
export const syncWal = (file: string): void => {
  if (fs.existsSync(walOf(file))) syncName(walOf(file), "r+")
  syncFolder(path.dirname(file))
}

/**
 * Leaves a mark beside a file that what was written to it could not be synced. It need not reach the disk: while this
 * run of the operating system lasts it is seen, and another run is a doubt of its own. On a disk that takes no more at
 * all there is none, and no start either before that is mended.
 */
export const markUnsynced = (file: string): void => {
  try {
    fs.closeSync(fs.openSync(unsyncedOf(file), "a", 0o600))
  } catch {
    // The sync has failed, which is what is said.
  }
}

/** Whether {@link markUnsynced} was called for a file. */
export const isUnsynced = (file: string): boolean => fs.existsSync(unsyncedOf(file))

/** What was in doubt because of {@link markUnsynced} is settled. */
export const settled = (file: string): void => fs.rmSync(unsyncedOf(file), { force: true })

/** Goes on with a descriptor that is open, and closes it when that fails. */
export const orClose = <A>(descriptor: number, goOn: () => A): A => {
  try {
    return goOn()
  } catch (cause) {
    fs.closeSync(descriptor)
    throw cause
  }
}

/** Notes that this process has a file open; the result ends that. */
export const noteUse = (file: string): (() => void) => {
  const key = keyOf(file)
  inUse.add(key)
  return () => void inUse.delete(key)
}

/** The file is open in this process already; named as SQLite names it when it is open in another. */
class LockedHere extends Error {
  readonly errcode = 5
}

/**
 * Whether a file is still where a restart would look for it (law L59). Made when it was opened; the result says whether
 * there is nothing at its name now, or something else. One call to the system each time.
 */
export const watchPlace = (file: string): (() => boolean) => {
  const opened = placeOf(file)
  return () => opened === undefined || placeOf(file) !== opened
}

/** Deletes a file of SQLite with what belongs to it. */
export const remove = (file: string): void => {
  for (const suffix of ["", "-wal", "-shm", "-journal", "-unsynced"]) fs.rmSync(file + suffix, { force: true })
}

/**
 * How many bytes the disk of a file has for this user, and in all; `undefined` where it cannot be asked. Not on the event
 * loop, which a disk that hangs would hold up.
 */
export const diskOf = (file: string): Effect.Effect<{ readonly left: number; readonly of: number } | undefined> =>
  Effect.promise(() =>
    fs.promises.statfs(path.dirname(file)).then(
      ({ bavail, blocks, bsize }) => ({ left: bavail * bsize, of: blocks * bsize }),
      () => undefined
    )
  )

// ---------------------------------------------------------------------------------------------------------------------

const unsyncedOf = (file: string): string => `${file}-unsynced`

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

/** Which file a name leads to; `undefined` when to none. */
const placeOf = (name: string): string | undefined => {
  const found = fs.statSync(name, { throwIfNoEntry: false })
  return found === undefined ? undefined : `${found.dev}:${found.ino}`
}

/** A file by what it is, or by its name while it is none. */
const keyOf = (file: string): string => placeOf(file) ?? path.resolve(file)

/** The files that this process has open, whichever copy of this package opened them. */
const inUse: Set<string> = ((globalThis as Record<symbol, unknown>)[Symbol.for("@quorum/sqlite/inUse")] ??=
  new Set<string>()) as Set<string>
