/**
 * Making durable what was written, off the event loop, and moving it on from the write-ahead log into the file.
 *
 * While a store is open SQLite syncs nothing by itself; what it would order by its own syncs is ordered here:
 * - A write is durable once the log was synced after it. Several writes share a sync: one is under way, and the next
 *   covers all that came meanwhile.
 * - A checkpoint copies what the log holds, which is synced there, and then the file is synced. Nothing is written
 *   before that is done: the log would begin anew over frames of which the file has no durable copy.
 * - The log begins anew with a commit of one page, and nothing follows before that is synced. Were there more of it, a
 *   power loss could leave the beginning of the old frames in front of it, which a start would take for all of them.
 * - At rest the log begins anew too, and is cut: what is behind that page is copied by then, and is room for nothing.
 */
import { ReplicaStore, type Watermark } from "@quorum/core/adapter"
import { Context, Effect, Latch } from "effect"
import * as fs from "node:fs"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Database from "./database.ts"
import * as Growth from "./growth.ts"

/** How the content of a file that is open is made durable: `done` is called with what failed, or with nothing. */
export const Disk = Context.Reference<(descriptor: number, done: (cause: Error | null) => void) => void>(
  "@quorum/sqlite/Disk",
  { defaultValue: () => fs.fdatasync }
)

/** What was written to, and how far it is durable. */
export interface Written {
  readonly head: Watermark.Watermark
  durable: Watermark.Watermark
}

/** What is synced, and whom it concerns. */
export interface Options {
  readonly db: DatabaseSync
  readonly disk: (descriptor: number, done: (cause: Error | null) => void) => void
  /** The file of the store, and its write-ahead log. */
  readonly file: number
  readonly log: number
  /** Why what was written does not count although the sync went well; ends everything. */
  readonly whyLost: () => ReplicaStore.StoreError | undefined
  /** A sync failed: nothing that was not synced before it is ever again, and everything ends. */
  readonly onFailed: (cause: Error) => ReplicaStore.StoreError
  /** Commits a change of one page. */
  readonly touch: () => void
}

/** Starts with nothing to sync: what a start finds was synced before, and moved on where there is room. */
export const make = ({ db, disk, file, log, onFailed, touch, whyLost }: Options) => {
  let written = 0
  let synced = 0
  /** What was written to since the last sync began. */
  let changed = new Set<Written>()
  let waiting: Array<{ readonly upTo: number; readonly resume: (effect: Effect.Effect<void, Failure>) => void }> = []
  let isUnderWay = false
  let failed: Failure | undefined
  let millis = 0
  /** Closed while nothing may be written. */
  const gate = Latch.makeUnsafe(true)
  let isShut = false
  const idle = Latch.makeUnsafe(true)
  /** How much was written when somebody looked last, and how often it was as much in a row. */
  let seen = 0
  let quietLooks = 0
  const growth = Growth.make(moved(db))

  const fail = (error: Failure): void => {
    failed = error
    const left = waiting
    waiting = []
    for (const { resume } of left) resume(Effect.fail(error))
    end()
  }

  const end = (): void => {
    isUnderWay = false
    isShut = false
    gate.openUnsafe()
    idle.openUnsafe()
  }

  const start = (): void => {
    if (isUnderWay) return
    isUnderWay = true
    idle.closeUnsafe()
    sync()
  }

  const sync = (then: () => void = goOn): void => {
    const upTo = written
    const ends = Array.from(changed, (each) => [each, each.head] as const)
    changed = new Set()
    const began = performance.now()
    disk(log, (cause) => {
      millis = performance.now() - began
      const error = cause === null ? whyLost() : onFailed(cause)
      if (error !== undefined) return fail(error)
      synced = upTo
      for (const [each, head] of ends) each.durable = head
      // Who goes on now writes after the checkpoint, which would have to sync that too otherwise.
      if (growth.isDue()) shut()
      const done = waiting.filter((each) => each.upTo <= upTo)
      waiting = waiting.filter((each) => each.upTo > upTo)
      for (const { resume } of done) resume(Effect.void)
      then()
    })
  }

  const shut = (): void => {
    isShut = true
    gate.closeUnsafe()
  }

  const goOn = (): void => {
    if (growth.isDue()) return moveOn(reopen)
    if (waiting.length > 0) return sync()
    end()
  }

  /** Moves the log on into the file. `then` goes on, with nothing in the log but the page that it began anew with. */
  const moveOn = (then: () => void): void => {
    shut()
    if (synced < written) return sync(() => checkpoint(then))
    checkpoint(then)
  }

  const checkpoint = (then: () => void): void => {
    const isWhole = moved(db)
    disk(file, (cause) => {
      if (cause !== null) return fail(onFailed(cause))
      growth.moved(isWhole)
      if (!isWhole) return reopen()
      try {
        touch()
      } catch {
        return reopen()
      }
      written++
      sync(then)
    })
  }

  /** Nothing is written meanwhile. Where it fails the log stays as long as it is. */
  const shorten = (): void =>
    fs.ftruncate(log, restBytes, () => {
      growth.cut()
      reopen()
    })

  /** What failed for lack of room may find some when it is tried again. */
  const foundNoRoom = (error: unknown) =>
    Effect.sync(() => {
      if (!(error instanceof ReplicaStore.StoreError) || error.reason !== "disk_full") return
      growth.foundNoRoom()
      if (growth.isDue()) start()
    })

  const reopen = (): void => {
    isShut = false
    gate.openUnsafe()
    goOn()
  }

  return {
    /** Writes something, as soon as something may be written. */
    writing: <A, E>(write: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        const again = (): Effect.Effect<A, E> =>
          isShut ? Effect.flatMap(gate.await, again) : Effect.tapError(write(), foundNoRoom)
        return again()
      }),
    /** Something was written: a part of a log, of so many bytes. */
    wrote: (to: Written | undefined, bytes: number): void => {
      written++
      if (to !== undefined) changed.add(to)
      growth.wrote(bytes)
    },
    /**
     * Whether the file has no room for what the log holds. Then the log takes no more entries: what is free of it is for the
     * next start, and for what makes room. Whoever is refused has it tried again.
     */
    isStuck: growth.isStuck,
    /** Makes durable what was written so far. */
    sync: Effect.callback<void, Failure>((resume) => {
      if (failed !== undefined) return resume(Effect.fail(failed))
      if (synced === written) return resume(Effect.void)
      waiting.push({ upTo: written, resume })
      start()
    }),
    /**
     * Somebody looks how much room is taken, about once a second. When nothing was written for a while the log is moved on
     * and cut, so that it is no longer than a start needs: on a full disk that has only the room that is there already.
     */
    looked: (): void => {
      quietLooks = seen === written ? quietLooks + 1 : 0
      seen = written
      // What was found at the start SQLite would sync by itself, which holds the event loop.
      if (quietLooks < restLooks || written === 0 || isUnderWay || failed !== undefined) return
      quietLooks = 0
      if (fs.fstatSync(log).size <= restBytes) return
      isUnderWay = true
      idle.closeUnsafe()
      moveOn(shorten)
    },
    /** How long the last sync took, in milliseconds. */
    lastMillis: (): number => millis,
    /** Waits until nothing is under way. */
    ended: idle.await
  }
}

/** Makes durable what was written. */
export type Syncing = ReturnType<typeof make>

// ---------------------------------------------------------------------------------------------------------------------

type Failure = ReplicaStore.StoreError

/** Moves what the log holds into the file. What failed shows when that is synced, or the log still holds it. */
const moved = (db: DatabaseSync): boolean => {
  try {
    return Database.checkpoint(db)
  } catch {
    return false
  }
}

/** As many bytes as the write-ahead log takes when it is moved on. */
export const logBytes = 4 * 1024 * 1024

/** How long it is left at rest: longer than what a start writes, or a step that erases. */
const restBytes = 512 * 1024

/** After how many looks at which nothing new was written a store is at rest. */
const restLooks = 10
