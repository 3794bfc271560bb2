/**
 * The durable logs of a replica in one SQLite file, `<folder>/log.db`.
 *
 * One row per appended batch, in a table per log, so that every append goes to the right edge of a B-tree: measured
 * against one table for all logs, that was 13 % (single entries) to 34 % (100 entries) faster, and the file 13 % smaller.
 */
import { LogId, ReplicaSet } from "@quorum/core"
import { EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Layer, Option, Result } from "effect"
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
import * as Part from "./internal/part.ts"
import * as Place from "./internal/place.ts"
import * as Replacing from "./internal/replacing.ts"
import * as Rows from "./internal/rows.ts"
import * as Syncing from "./internal/syncing.ts"

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
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<
  ReplicaStore.ReplicaStore["Service"],
  ReplicaStore.StoreError,
  ReplicaSet.ReplicaSet | Scope.Scope
> {
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
  Files.lengthen(log, Syncing.logBytes)
  const syncing = Syncing.make({
    db,
    disk,
    file: descriptor,
    log,
    whyLost: guard.whyLost,
    onFailed: guard.syncFailed,
    touch: commits.touch
  })

  /** Makes room for a new log, in a transaction of its own: a log of which nothing is held is as good as none. */
  const addLog = (name: LogId.LogId): Rows.HeldLog => {
    const table = Part.nextTable(db)
    const part = commits.unsynced(() => Database.transaction(db, () => Part.create(db, table, name, 0)))
    syncing.wrote(undefined, 4 * 4096)
    const log = Rows.make(file, name, [part], found)
    logs.set(name, log)
    return log
  }

  const write = (asked: EntryBatch.EntryBatch) =>
    syncing.writing(() =>
      call((): ReturnType<Store["append"]> => {
        checkPlace()
        const held = logs.get(asked.log)
        if (held?.damagedEnd !== undefined) return Effect.fail(held.damagedEnd)
        const head = held?.head ?? Watermark.none(asked.log)
        const decision = ReplicaStore.decideAppend(head, asked, (seq) => HeldLog.chainAt(held!, seq))
        if (Result.isFailure(decision)) return Effect.fail(decision.failure)
        if (decision.success._tag === "Held") {
          checkLogPlace()
          return Effect.succeed(decision.success.watermark)
        }
        const log = held ?? addLog(asked.log)
        const { batch } = decision.success
        commits.append(log, batch)
        syncing.wrote(log, batch.bytes.length)
        return Effect.succeed(log.head)
      })
    )

  /** Changes something that is no append, of so many bytes; durable when it returns, with what is to be done then. */
  const changing = (bytes: number, change: () => void | (() => void)) =>
    Effect.uninterruptible(
      Effect.flatMap(
        syncing.writing(() =>
          call(() => {
            checkPlace()
            const then = commits.unsynced(change)
            syncing.wrote(undefined, bytes)
            return Effect.succeed(then)
          })
        ),
        (then) => Effect.map(Effect.mapError(syncing.sync, guard.refusedInstead), () => then?.())
      )
    )

  /** Writes a replacement, and returns what is to be done when it is durable; `undefined` where there is nothing to do. */
  const replacing = (batch: EntryBatch.EntryBatch) =>
    syncing.writing(() =>
      call((): Effect.Effect<(() => void) | undefined, ReplicaStore.AppendGap | ReplicaStore.AppendDrift> => {
        checkPlace()
        const held = logs.get(batch.log)
        const head = held?.head ?? Watermark.none(batch.log)
        if (held?.damagedEnd !== undefined && EntryBatch.last(batch) >= head.seq) throw held.damagedEnd
        const chainAt = (seq: number) => (held === undefined ? head.chain : HeldLog.chainAt(held, seq))
        const decision = ReplicaStore.decideReplace({ head, damaged: found.ranges, chainAt }, batch)
        if (Result.isFailure(decision)) return Effect.fail(decision.failure)
        const { success: decided } = decision
        if (decided === "Held") return Effect.succeed(undefined)
        const log = held ?? addLog(batch.log)
        const { bytes, settle } = commits.unsynced(() => Replacing.replace(db, log, batch, decided === "Mend"))
        syncing.wrote(log, bytes)
        return Effect.succeed(settle)
      })
    )

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
    space: call(() => Database.spaceOf(file, db)),
    check: (name, after, maxBytes) =>
      call(() => {
        const log = logs.get(name)
        return Effect.succeed(log === undefined ? after : Mending.check(log, after, maxBytes))
      }),
    replace: (batch) =>
      Effect.uninterruptible(
        // What is held as it is may be written and not durable yet.
        Effect.flatMap(replacing(batch), (settle) =>
          Effect.map(Effect.mapError(syncing.sync, guard.refusedInstead), () => settle?.())
        )
      ),
    cut: (name, after) =>
      Effect.map(
        call(() => {
          const log = logs.get(name)
          const isCut = after === undefined ? log?.damagedEnd !== undefined : after < (log?.head.seq ?? 0)
          return isCut ? changing(4 * 4096, () => Mending.cut(db, log!, after)) : Effect.void
        }),
        () => logs.get(name)?.head ?? Watermark.none(name)
      ),
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
          const { size } = fs.fstatSync(log)
          closeFiles()
          fs.closeSync(log)
          Files.keepWal(file, Math.min(size, Syncing.logBytes))
        },
        catch: (cause) => Database.storeError(file, cause)
      })
    )
  })
  return { service, close }
}

type Store = ReplicaStore.ReplicaStore["Service"]
