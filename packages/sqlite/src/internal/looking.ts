/**
 * Opening a file of a store for somebody who only looks: nothing in its folder changes by it.
 *
 * A file that was closed in order is read where it is. One that was not has a write-ahead log, which SQLite would move into
 * it, or a journal, by which it would undo what is in it: they are copied to a folder of their own, and opened there.
 */
import { ReplicaStore } from "@quorum/core/adapter"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import * as Database from "./database.ts"
import * as Files from "./files.ts"
import { DatabaseSync } from "./nodeSqlite.ts"

/** A file that is open to be looked at. */
export interface Looking {
  readonly db: DatabaseSync
  /** Whether it was closed in order. */
  readonly isClosed: boolean
  readonly close: () => void
}

/** Opens it. Throws when there is none, or none yet, when a process has it open, or when it is none of ours. */
export const open = (file: string, brand: Database.Brand): Looking => {
  Files.checkKind(file)
  if (!fs.existsSync(file)) {
    const detail = `there is no ${file}; give the folder in which a replica keeps its files`
    throw new ReplicaStore.StoreError({ reason: "unavailable", detail })
  }
  const isInWal = hasFrames(Files.walOf(file))
  // SQLite would take the write-ahead log of an empty file for none of its own, and delete it.
  if (fs.statSync(file).size === 0) throw isInWal ? cutOff(file) : neverWritten(file)
  if (isLocked(file)) {
    const detail = `another process has ${file} open; ask the replica while it runs, or stop it`
    throw new ReplicaStore.StoreError({ reason: "locked", detail })
  }
  const isClosed = !isInWal && !fs.existsSync(Files.journalOf(file))
  const { close, db } = isClosed ? inPlace(file) : copied(file)
  try {
    const found = Database.read(db)
    if (Database.isNew(found)) throw neverWritten(file)
    Database.checkBrand(file, brand, found)
    return { db, isClosed, close }
  } catch (cause) {
    close()
    throw cause
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** As a crash leaves it that comes before what is in it first is committed. */
const neverWritten = (file: string) =>
  new ReplicaStore.StoreError({
    reason: "unavailable",
    detail: `no replica has written to ${file} yet; start one on this folder, or give that of another`
  })

const cutOff = (file: string) =>
  Database.damaged(`${file} is empty, and its write-ahead log is not: it was cut off; restore it, or delete both`)

/** With this SQLite takes a file as it is, asks for no lock and looks for no write-ahead log. */
const inPlace = (file: string): Pick<Looking, "db" | "close"> => {
  const url = pathToFileURL(file)
  url.searchParams.set("immutable", "1")
  const db = new DatabaseSync(url, { readOnly: true })
  return { db, close: () => db.close() }
}

const copied = (file: string): Pick<Looking, "db" | "close"> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorum-look-"))
  const remove = (): void => fs.rmSync(folder, { recursive: true, force: true })
  try {
    const copy = path.join(folder, path.basename(file))
    // Where the file system can, a copy shares its blocks and costs nothing.
    for (const name of ["", "-wal", "-journal"]) {
      if (fs.existsSync(file + name)) fs.copyFileSync(file + name, copy + name, fs.constants.COPYFILE_FICLONE)
    }
    const db = new DatabaseSync(copy)
    db.exec("PRAGMA locking_mode = EXCLUSIVE")
    return {
      db,
      close: () => {
        db.close()
        remove()
      }
    }
  } catch (cause) {
    remove()
    throw cause
  }
}

/**
 * Whether a process has the file open. A reader who wants the file for itself first asks for what everybody may share,
 * which the process that has it refuses, and then for what a file that was opened to be read cannot give: it never gets
 * to the write-ahead log.
 */
const isLocked = (file: string): boolean => {
  const db = new DatabaseSync(file, { readOnly: true, timeout: 0 })
  try {
    db.exec("PRAGMA locking_mode = EXCLUSIVE")
    db.prepare("SELECT count(*) FROM sqlite_schema").get()
    return false
  } catch (cause) {
    return ((Database.resultCode(cause) ?? 0) & 0xff) === busy
  } finally {
    db.close()
  }
}

const busy = 5

/** Whether a write-ahead log has anything: it begins with a number, and is made longer by zeros where it is none. */
const hasFrames = (wal: string): boolean => {
  if (!fs.existsSync(wal)) return false
  const descriptor = fs.openSync(wal, "r")
  try {
    const head = Buffer.alloc(4)
    fs.readSync(descriptor, head, 0, 4, 0)
    return head.readUInt32BE(0) >>> 1 === walMagic >>> 1
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Of SQLite; its last bit says in which order the bytes of its checksums are. */
const walMagic = 0x377f0682
