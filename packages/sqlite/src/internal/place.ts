/**
 * Where a store lives and under which run of the operating system it was open, and what that leaves in doubt when it is
 * opened again.
 *
 * Numbers of devices and of machines are no part of it: they change with reboots and containers. A copy of a file, a
 * restored and a cloned one has another inode or another time of birth.
 */
import { type LogId } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Context } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Database from "./database.ts"
import * as Files from "./files.ts"

/**
 * Names this run of the operating system. Linux says it; elsewhere it is the time of the boot to the nearest ten
 * seconds, so that a clock that was set looks like a boot, and costs a new log.
 */
export const Boot = Context.Reference<string>("@quorum/sqlite/Boot", {
  defaultValue: () => {
    try {
      return fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    } catch {
      return `at ${Math.round((Date.now() / 1000 - os.uptime()) / 10)}`
    }
  }
})

/** Where a file is now, as one text. */
export const placeOf = (file: string): string => {
  const { birthtimeNs, ino } = fs.statSync(file, { bigint: true })
  return `${ino} ${birthtimeNs}`
}

/** Where the write-ahead log of a file is now; nothing when there is none. */
const walPlaceOf = (file: string): string => {
  const wal = Files.walOf(file)
  return fs.existsSync(wal) ? placeOf(wal) : ""
}

/** Where and under which boot a store is opened, and whether it could not sync what it had written. */
export interface Here {
  readonly place: string
  /** Where its write-ahead log is, before SQLite makes one. */
  readonly wal: string
  readonly boot: string
  readonly isUnsynced: boolean
}

/** Where a file is, as of now. SQLite has not opened it. */
export const here = (file: string, boot: string): Here => ({
  boot,
  place: placeOf(file),
  wal: walPlaceOf(file),
  isUnsynced: Files.isUnsynced(file)
})

/**
 * Whether the write-ahead log is that of the run that was not closed in order: the newest of what that acknowledged is
 * nowhere else.
 */
const hasItsWal = (notes: Notes, { wal }: Pick<Here, "wal">): boolean => {
  const used = notes.get(walNote) ?? ""
  return used === "" || used === wal
}

/** Whether all of a store is where it was when it was used last. */
export const isSame = (notes: Notes, here: Pick<Here, "place" | "wal">): boolean =>
  notes.get("place") === here.place && hasItsWal(notes, here)

/** What the notes of a store and where it is opened leave in doubt. */
const doubtOf = (notes: Notes, here: Here): ReplicaStore.Doubt => {
  const { boot, isUnsynced, place } = here
  if (notes.get("place") !== place) return "other_place"
  if (notes.get(ReplicaStore.recoveringNote) === "blank") return "blank"
  if (!hasItsWal(notes, here)) return "other_place"
  if (notes.get("boot") !== boot) return "other_boot"
  return isUnsynced ? "sync_failed" : "none"
}

/**
 * What a store says of itself: whose it is, and the notes of its replica. The indexes have every column twice, so that damage
 * of one shows, but for the number that is changed where a commit has to be of one page.
 */
export const createTables = `CREATE TABLE store (cluster TEXT, replica TEXT, incarnation TEXT, undone INTEGER,
    UNIQUE (cluster, replica, incarnation)) STRICT;
  CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL, UNIQUE (value, name)) STRICT, WITHOUT ROWID`

/** Throws where that is damaged: a replica that forgot what it noted might vote although it lacks what it acknowledged. */
export const check = (file: string, db: DatabaseSync): void => {
  if (Database.isWhole(db, "store") && Database.isWhole(db, "note")) return
  throw Database.damaged(`${file} is damaged in what it says of itself; ${Database.remedy}`)
}

/** Writes notes, inside a transaction. */
export const insertNotes = (db: DatabaseSync, notes: Readonly<Record<string, string>>): void => {
  const upsert = db.prepare("INSERT INTO note VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")
  for (const [name, value] of Object.entries(notes)) upsert.run(name, value)
}

/** The notes of a store, as they are stored. */
export type Notes = ReturnType<typeof makeNotes>

/** Reads and writes the notes of a store. */
export const makeNotes = (db: DatabaseSync) => {
  const select = db.prepare("SELECT value FROM note WHERE name = ?")
  return {
    get: (name: string): string | undefined => select.get(name)?.["value"] as string | undefined,
    /** Sets notes, and the incarnation where one is given: all of it or nothing. */
    set: (notes: Readonly<Record<string, string>>, incarnation?: LogId.Incarnation): void =>
      Database.transaction(db, () => {
        insertNotes(db, notes)
        if (incarnation !== undefined) db.prepare("UPDATE store SET incarnation = ?").run(incarnation)
      })
  }
}

/** Which write-ahead log this run uses, noted in the file itself before anything else is written to that log. */
export const noteWal = (file: string, db: DatabaseSync, notes: Notes): void => {
  const wal = walPlaceOf(file)
  if (notes.get(walNote) === wal) return
  try {
    notes.set({ [walNote]: wal })
  } catch (cause) {
    // On a full disk nothing is acknowledged either.
    if (!Database.isFull(cause)) throw cause
  }
  Database.checkpoint(db)
}

/** All that is in the write-ahead log is about to be moved into the file, and the log to be removed. */
export const noteClosing = (notes: Notes): void => {
  try {
    notes.set({ [walNote]: "" })
  } catch {
    // It may stay then, and where it does not, the next start takes it for lost: that is the safe side.
  }
}

/** The notes of a store that is created here. */
export const notesOfNew = ({ boot, place }: Pick<Here, "boot" | "place">): Readonly<Record<string, string>> => ({
  place,
  boot,
  [ReplicaStore.recoveringNote]: "blank"
})

/**
 * Answers the doubt in which a store is opened, durably, before anything of it is said: with a new incarnation, which
 * `draw` draws, elsewhere, after another boot and after a sync that failed, and elsewhere with the note that something may be missing.
 */
export const settle = (
  notes: Notes,
  here: Here,
  incarnation: LogId.Incarnation,
  draw: (above: LogId.Incarnation, follows: LogId.Follows) => LogId.Incarnation
): { readonly doubt: ReplicaStore.Doubt; readonly incarnation: LogId.Incarnation } => {
  const doubt = doubtOf(notes, here)
  const { boot, isUnsynced, place } = here
  if (doubt !== "other_place" && notes.get("boot") === boot && !isUnsynced) return { doubt, incarnation }
  const renewed = draw(incarnation, doubt === "other_place" ? "loss" : "boot")
  notes.set(doubt === "other_place" ? { place, boot, [ReplicaStore.recoveringNote]: "lost" } : { boot }, renewed)
  return { doubt, incarnation: renewed }
}

// ---------------------------------------------------------------------------------------------------------------------

/** The note of which write-ahead log is in use. */
const walNote = "wal"
