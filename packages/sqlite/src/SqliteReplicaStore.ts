/**
 * The durable logs of a replica in one SQLite file, `<folder>/log.db`.
 *
 * One row per appended batch, in a table per log, so that every append goes to the right edge of a B-tree: measured
 * against one table for all logs, that was 13 % (single entries) to 34 % (100 entries) faster, and the file 13 % smaller.
 */
import { LogId, ReplicaSet } from "@quorum/core"
import { ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Layer, Option } from "effect"
import type { Scope } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Committing from "./internal/committing.ts"
import * as Database from "./internal/database.ts"
import * as Files from "./internal/files.ts"
import * as Guard from "./internal/guard.ts"
import * as HeldLog from "./internal/heldLog.ts"
import * as Mending from "./internal/mending.ts"
import * as Opening from "./internal/opening.ts"
import * as Place from "./internal/place.ts"
import * as Syncing from "./internal/syncing.ts"
import * as WalRoom from "./internal/walRoom.ts"
import * as Writing from "./internal/writing.ts"

/** Where the store is. Whose it is says `ReplicaSet`. */
export interface Options {
  /** The folder of the file; created when it is missing, for this user alone. It belongs to one process at a time. */
  readonly folder: string
  /** The most that the file may grow to, in bytes; beyond it appends fail with `disk_full`. No limit unless given. */
  readonly maxBytes?: number
}

/**
 * Opens the store, or creates it. It is closed with the scope; calls after that fail with `unavailable`.
 *
 * An append is one transaction, and has been synced when it returns, off the event loop, in files that a restart will
 * find: when they are removed, renamed or replaced while the store is open, appends fail. What the start finds is synced
 * before anything else is done with it. What is read has been checked against the chain checksum that was stored with it.
 *
 * A store that is opened elsewhere than before, or after another boot of the machine, may not know what it gave away and
 * has a new incarnation when it is returned (law L53).
 */
export const make: (
  options: Options
) => Effect.Effect<ReplicaStore.ReplicaStore["Service"], ReplicaStore.StoreError, ReplicaSet.ReplicaSet | Scope.Scope> =
  Effect.fnUntraced(function* (options) {
    const file = path.resolve(yield* ReplicaStore.checkFolder(options.folder), "log.db")
    const { cluster, self } = yield* ReplicaSet.ReplicaSet
    const draw = yield* LogId.incarnations
    const boot = yield* Place.Boot
    const disk = yield* Syncing.Disk
    const { service } = yield* Database.scoped(file, () =>
      Opening.open(
        file,
        options.maxBytes,
        { cluster, replica: self, incarnation: draw() },
        { draw, boot },
        (files, settled) => opened(file, files, settled, disk)
      )
    )
    return ReplicaStore.ReplicaStore.of(service)
  })

/** {@link make} as a layer. */
export const layer = (
  options: Options
): Layer.Layer<ReplicaStore.ReplicaStore, ReplicaStore.StoreError, ReplicaSet.ReplicaSet> =>
  Layer.effect(ReplicaStore.ReplicaStore, make(options))

// ---------------------------------------------------------------------------------------------------------------------

const opened = (
  file: string,
  { close: closeFiles, db, descriptor }: Opening.OpenFiles,
  { cluster, doubt, draw, incarnation: first, notes, replica }: Opening.Settled,
  disk: Syncing.Options["disk"]
) => {
  let incarnation = first
  const guard = Guard.make(file)
  const { call, checkLogPlace, checkPlace } = guard
  const { found, logs } = HeldLog.all(file, db)
  const commits = Committing.make(file, db, guard)
  const log = fs.openSync(Files.walOf(file), "r+")
  WalRoom.lengthen(log, Syncing.logBytes)
  const syncing = Syncing.make({
    db,
    disk,
    file: descriptor,
    log,
    whyLost: guard.whyLost,
    onFailed: guard.syncFailed,
    touch: commits.touch
  })
  const { changing, cut, replace, write } = Writing.make({ commits, db, file, found, guard, logs, syncing })

  const set = (changed: Readonly<Record<string, string>>, renewed?: LogId.Incarnation) =>
    changing(4096, () => notes.set(changed, renewed))

  const service: Store = {
    get identity() {
      return { cluster, replica, incarnation }
    },
    doubt,
    note: (name) => call(() => Effect.succeed(Option.fromNullishOr(notes.get(name)))),
    setNotes: (changed) => set(changed),
    renew: (above) =>
      Effect.suspend(() => {
        const renewed = draw(LogId.newer(incarnation, above))
        return Effect.map(set({ [ReplicaStore.recoveringNote]: "lost" }, renewed), () => (incarnation = renewed))
      }),
    append: (batch) =>
      Effect.uninterruptible(Effect.flatMap(write(batch), (watermark) => Effect.as(syncing.sync, watermark))),
    steps: { write, sync: call(() => syncing.sync) },
    read: (name, after, maxBytes) =>
      call(() => {
        const log = logs.get(name)
        if (log === undefined || after >= log.head.seq) return Effect.succeed(Option.none())
        return Effect.succeed(Option.some(HeldLog.read(log, after, maxBytes)))
      }),
    chainAt: (name, seq) =>
      call(() => {
        const log = logs.get(name) ?? { head: Watermark.none(name) }
        if (seq > log.head.seq) return Effect.succeed(Option.none())
        return Effect.succeed(Option.fromNullishOr("parts" in log ? HeldLog.chainAt(log, seq) : log.head.chain))
      }),
    watermarks: call(() => {
      checkPlace()
      checkLogPlace()
      return Effect.succeed(Array.from(logs.values(), ({ durable }) => durable).filter(({ seq }) => seq > 0))
    }),
    damaged: () => found.ranges,
    space: call(() => {
      syncing.looked()
      return Database.spaceOf(file, db)
    }),
    check: (name, after, maxBytes) =>
      call(() => {
        const log = logs.get(name)
        return Effect.succeed(log === undefined ? after : Mending.check(log, after, maxBytes))
      }),
    replace,
    cut,
    lastSyncMillis: syncing.lastMillis
  }
  const close = Effect.suspend(() => {
    guard.close()
    return Effect.andThen(
      syncing.ended,
      Effect.try({
        try: () => {
          // What is left in the log is moved into the file, which has to be durable before the log is removed.
          commits.synced()
          Place.noteClosing(notes)
          const { size } = fs.fstatSync(log)
          closeFiles()
          fs.closeSync(log)
          WalRoom.keepWal(file, Math.min(size, Syncing.logBytes))
        },
        catch: (cause) => Database.storeError(file, cause)
      })
    )
  })
  return { service, close }
}

type Store = ReplicaStore.ReplicaStore["Service"]
