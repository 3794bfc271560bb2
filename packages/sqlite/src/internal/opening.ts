/**
 * Opening the file of a store: whose it is, and that all that a start finds in it is durable before it is said.
 */
import type { LogId } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Schema } from "effect"
import * as fs from "node:fs"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Database from "./database.ts"
import * as Files from "./files.ts"
import * as Part from "./part.ts"
import * as Place from "./place.ts"

/** What a start needs to know beside its options. */
export interface Start {
  readonly boot: string
  /** Draws a new incarnation. */
  readonly draw: (above?: LogId.Incarnation, follows?: LogId.Follows) => LogId.Incarnation
}

/**
 * Opens the file of a store, or creates it, and has it used once it is known whose it is, what a restart would find of
 * it, and what is in doubt. Whatever fails on the way, the file is closed then.
 */
export const open = <A>(
  file: string,
  maxBytes: number | undefined,
  identity: ReplicaStore.StoreIdentity,
  { boot, draw }: Start,
  use: (files: OpenFiles, settled: Settled) => A
): A => {
  const asked = decodeIdentity(identity)
  Files.prepare(file)
  const left = Files.leftOf(file)
  // A new store would begin as if there had been none, and SQLite removes what is left (decision 0081).
  if (left !== undefined)
    throw Database.damaged(`${file} is missing or empty, and ${left} is there; ${Database.remedy}`)
  Files.sync(file)
  const here = Place.here(file, boot)
  // Opened before SQLite opens the file, and closed after it: that would drop its locks.
  const descriptor = fs.openSync(file, "r+")
  const db = Files.orClose(descriptor, () =>
    Database.open(file, {
      ...Database.logs,
      cacheKiB: 8192,
      maxBytes,
      shrinks: true,
      create: (db) => {
        db.exec(`${Place.createTables}; ${Part.createLogs}`)
        db.prepare("INSERT INTO store VALUES (?, ?, ?, 0)").run(asked.cluster, asked.replica, asked.incarnation)
        Place.insertNotes(db, Place.notesOfNew(here))
      }
    })
  )
  const endUse = Files.noteUse(file)
  const close = (): void => {
    endUse()
    try {
      db.close()
    } finally {
      fs.closeSync(descriptor)
    }
  }
  try {
    // Before anything of it is said or counted: what a killed process had written, and not synced, is read from the
    // memory of the operating system, and a power loss would take it back (law L54).
    Files.syncWal(file)
    Database.checkpoint(db)
    Place.check(file, db)
    const found = db.prepare("SELECT cluster, replica, incarnation FROM store").get()
    if (!isIdentity(found)) throw Database.damaged(`${file} does not say whose it is; ${Database.remedy}`)
    if (found.cluster !== asked.cluster || found.replica !== asked.replica) {
      throw new ReplicaStore.StoreError({
        reason: "wrong_identity",
        detail:
          `${file} belongs to replica ${found.replica} of ${JSON.stringify(found.cluster)}, and was opened for replica ` +
          `${asked.replica} of ${JSON.stringify(asked.cluster)}; give every replica a folder of its own`
      })
    }
    const notes = Place.makeNotes(db)
    // Looked for again: a process that had the file open until now may have left the mark since.
    const isUnsynced = Files.isUnsynced(file)
    const settled = Place.settle(notes, { ...here, isUnsynced }, found.incarnation, draw)
    Files.settled(file)
    Place.noteWal(file, db, notes)
    Part.makeSpares(db)
    return use({ db, descriptor, close }, { ...found, ...settled, notes, draw })
  } catch (cause) {
    close()
    throw cause
  }
}

/** The file of a store, open: in SQLite, and by a descriptor to sync it. */
export interface OpenFiles {
  readonly db: DatabaseSync
  readonly descriptor: number
  readonly close: () => void
}

/** A store as its start leaves it. */
export interface Settled extends ReplicaStore.StoreIdentity {
  readonly doubt: ReplicaStore.Doubt
  readonly notes: Place.Notes
  readonly draw: Start["draw"]
}

// ---------------------------------------------------------------------------------------------------------------------

const isIdentity = Schema.is(ReplicaStore.StoreIdentity)
const decodeIdentity = Schema.decodeUnknownSync(ReplicaStore.StoreIdentity)
