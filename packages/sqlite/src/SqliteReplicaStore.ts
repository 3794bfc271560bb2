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
import * as path from "node:path"
import type { DatabaseSync } from "./internal/nodeSqlite.ts"
import * as Database from "./internal/database.ts"
import * as Files from "./internal/files.ts"
import * as HeldLog from "./internal/heldLog.ts"
import * as Opening from "./internal/opening.ts"
import * as Place from "./internal/place.ts"

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
 * An append is one transaction, and has been fsynced when it returns, in files that a restart will find: when they are
 * removed, renamed or replaced while the store is open, appends fail. What the start finds is fsynced before anything
 * else is done with it. What is read has been checked against the chain checksum that was stored with it.
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
  const file = path.resolve(options.folder, "log.db")
  const { cluster, self } = yield* ReplicaSet.ReplicaSet
  const draw = yield* LogId.incarnations
  const boot = yield* Place.Boot
  const { service } = yield* Database.scoped(file, () =>
    Opening.open(
      file,
      options.maxBytes,
      { cluster, replica: self, incarnation: draw() },
      { draw, boot },
      (db, settled, endUse) => opened(file, db, settled, endUse)
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

const opened = (file: string, db: DatabaseSync, settled: Opening.Settled, endUse: () => void) => {
  const { cluster, doubt, draw, notes, replica } = settled
  let { incarnation } = settled
  const isGone = Files.watchPlace(file)
  const isLogGone = Files.watchPlace(Files.walOf(file))
  // A log under a wrong name would leave its places to be given away again. The index of the names has each twice.
  const names = db.prepare("PRAGMA integrity_check(log)").get()
  if (names?.["integrity_check"] !== "ok") {
    throw Database.damaged(`${file} is damaged in the names of its logs; restore it, or delete it`)
  }
  /** What was found so far, in order. */
  const damage: Array<ReplicaStore.DamagedRange> = []
  const logs = new Map<LogId.LogId, HeldLog.HeldLog>()
  for (const { id, name } of db.prepare("SELECT id, name FROM log").all() as Array<{ id: number; name: LogId.LogId }>) {
    const log = HeldLog.make(file, db, id, name, damage)
    HeldLog.findHead(log)
    logs.set(name, log)
  }
  const insertLog = db.prepare("INSERT INTO log (name) VALUES (?)")
  const undo = db.prepare("UPDATE store SET undone = undone + 1")
  /** How long the last commit took. */
  let syncMillis = 0
  /** Why nothing works any more. */
  let refusal: ReplicaStore.StoreError | undefined

  /** From now on every call fails: it was never tried, so it is not itself uncertain. */
  const refuseAll = (detail: string, cause?: unknown): void => {
    refusal = new ReplicaStore.StoreError({ reason: "unavailable", detail, cause })
  }

  /** Whether a file is where a restart looks for it; fails when not. */
  const checkName = (name: string, isGone: () => boolean): void => {
    if (!isGone()) return
    refuseAll(`${name} was removed, renamed or replaced while it was open; put it back, then restart this replica`)
    throw refusal
  }
  const checkPlace = (): void => checkName(file, isGone)
  /** Before something is said of what was written earlier; an append looks after it has written. */
  const checkLogPlace = (): void => checkName(Files.walOf(file), isLogGone)

  /** Says of a batch that nobody knows whether it is held, and ends everything. */
  const uncertain = (batch: EntryBatch.EntryBatch, what: string, remedy: string, cause?: unknown) => {
    refuseAll(`${what} at an earlier append; ${remedy}`, cause)
    const range = `entries ${batch.from} to ${EntryBatch.last(batch)} of ${batch.log}`
    const detail = `${what}, so whether ${range} are held is not known; ${remedy}`
    return new ReplicaStore.StoreError({ reason: "uncertain", detail, cause })
  }

  /** Makes room for a new log, in a transaction of its own: a log of which nothing is held is as good as none. */
  const addLog = (name: LogId.LogId): HeldLog.HeldLog => {
    const id = Database.transaction(db, () => {
      const id = Number(insertLog.run(name).lastInsertRowid)
      db.exec(HeldLog.createTable(id))
      return id
    })
    const log = HeldLog.make(file, db, id, name, damage)
    logs.set(name, log)
    return log
  }

  /**
   * Commits a batch. A failure means that nothing of it is held, now or after a restart (NotWrittenMeansNever).
   *
   * An fsync that fails comes after the commit record was handed to the operating system, so the record may reach the
   * disk all the same, and a restart would find it. SQLite itself goes on from before the record, so one more, small
   * commit overwrites it, and the failure is certain once that commit is durable. If that fails too, nobody can know:
   * nothing more is accepted or answered, so that no answer contradicts what a restart will find.
   */
  const commit = (log: HeldLog.HeldLog, batch: EntryBatch.EntryBatch): void => {
    try {
      syncMillis = HeldLog.insert(log, batch)
    } catch (cause) {
      try {
        if (db.isTransaction) db.exec("ROLLBACK")
        if (!endedBeforeCommit.has(Database.resultCode(cause))) {
          undo.run()
          if (log.rows.get(log.head.seq) !== undefined) throw cause
        }
      } catch {
        throw uncertain(batch, `writing ${file} failed and could not be undone`, "check the disk, then restart", cause)
      }
      throw cause
    }
    // It went before or while the batch was written to it: a restart may find the batch, where it is now, or not.
    if (isLogGone()) throw uncertain(batch, `${file}-wal was removed, renamed or replaced`, "put it back, then restart")
    log.head = EntryBatch.watermark(batch)
  }

  /** Runs a call; what it throws becomes a `StoreError`. */
  const call = <A, E = never>(f: () => Effect.Effect<A, E>): Effect.Effect<A, E | ReplicaStore.StoreError> =>
    Effect.suspend((): Effect.Effect<A, E | ReplicaStore.StoreError> => {
      if (refusal !== undefined) return Effect.fail(refusal)
      try {
        return f()
      } catch (cause) {
        return Effect.fail(Database.storeError(file, cause))
      }
    })

  const set: Place.Notes["set"] = (changed, incarnation) => {
    checkPlace()
    notes.set(changed, incarnation)
    checkLogPlace()
  }

  const service: ReplicaStore.ReplicaStore["Service"] = {
    get identity() {
      return { cluster, replica, incarnation }
    },
    doubt,
    note: (name) => call(() => Effect.succeed(Option.fromNullishOr(notes.get(name)))),
    setNotes: (changed) => call(() => Effect.succeed(set(changed))),
    renew: (above) =>
      call(() => {
        const renewed = draw(LogId.newer(incarnation, above))
        set({ [ReplicaStore.recoveringNote]: "lost" }, renewed)
        incarnation = renewed
        return Effect.succeed(renewed)
      }),
    append: (batch) =>
      call((): ReturnType<ReplicaStore.ReplicaStore["Service"]["append"]> => {
        checkPlace()
        const held = logs.get(batch.log)
        if (held?.damagedEnd !== undefined) return Effect.fail(held.damagedEnd)
        const head = held?.head ?? Watermark.none(batch.log)
        const decision = ReplicaStore.decideAppend(head, batch, (seq) => HeldLog.chainAt(held!, seq))
        if (Result.isFailure(decision)) return Effect.fail(decision.failure)
        if (decision.success._tag === "Held") {
          checkLogPlace()
          return Effect.succeed(decision.success.watermark)
        }
        const log = held ?? addLog(batch.log)
        commit(log, decision.success.batch)
        return Effect.succeed(log.head)
      }),
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
        return Effect.succeed(Option.some("rows" in log ? HeldLog.chainAt(log, seq) : log.head.chain))
      }),
    watermarks: call(() => {
      checkPlace()
      checkLogPlace()
      return Effect.succeed(Array.from(logs.values(), ({ head }) => head).filter((head) => head.seq > 0))
    }),
    damaged: () => damage,
    lastSyncMillis: () => syncMillis
  }
  const close = (): void => {
    refusal = Database.closed(file)
    try {
      db.close()
    } finally {
      endUse()
    }
  }
  return { service, close }
}

/** Result codes that SQLite gives before it writes a commit record: busy, locked, read-only, full, too big. */
const endedBeforeCommit = new Set<number | undefined>([5, 6, 8, 13, 18])
