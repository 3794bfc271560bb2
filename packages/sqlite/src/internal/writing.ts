/**
 * What changes an open store: each change waits until something may be written, looks at where the store is, and is
 * committed to be synced later.
 */
import type { LogId } from "@quorum/core"
import { EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Result } from "effect"
import type * as Committing from "./committing.ts"
import * as Database from "./database.ts"
import type * as Guard from "./guard.ts"
import * as HeldLog from "./heldLog.ts"
import * as Mending from "./mending.ts"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Part from "./part.ts"
import * as Replacing from "./replacing.ts"
import * as Rows from "./rows.ts"
import type * as Syncing from "./syncing.ts"

/** What is changed, and what every change goes through. */
export interface Options {
  readonly file: string
  readonly db: DatabaseSync
  readonly guard: Guard.Guard
  readonly commits: ReturnType<typeof Committing.make>
  readonly syncing: Syncing.Syncing
  readonly logs: Map<LogId.LogId, Rows.HeldLog>
  readonly found: ReturnType<typeof HeldLog.all>["found"]
}

/** Changes nothing by itself. */
export const make = ({ commits, db, file, found, guard, logs, syncing }: Options) => {
  const { call, checkLogPlace, checkPlace } = guard

  /** Makes room for a new log, in a transaction of its own: a log of which nothing is held is as good as none. */
  const addLog = (name: LogId.LogId): Rows.HeldLog => {
    const table = Part.nextTable(db)
    const part = commits.unsynced(() => Database.transaction(db, () => Part.create(db, table, name, 0)))
    syncing.wrote(undefined, 4 * 4096)
    const log = Rows.make(file, name, [part], found)
    logs.set(name, log)
    return log
  }

  /** Appends a batch; durable once it was synced. */
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
        if (syncing.isStuck()) return Effect.fail(Database.full(file))
        const log = held ?? addLog(asked.log)
        const { batch } = decision.success
        commits.append(log, batch)
        syncing.wrote(log, batch.bytes.length)
        return Effect.succeed(log.head)
      })
    )

  /** Makes a change durable, and does then what it asks for. What was held before it may not be durable yet either. */
  const durably = <A, E>(change: Effect.Effect<() => A, E>) =>
    Effect.uninterruptible(
      Effect.flatMap(change, (then) => Effect.map(Effect.mapError(syncing.sync, guard.refusedInstead), then))
    )

  /** Changes something that is no log, of so many bytes; durable when it returns. */
  const changing = (bytes: number, change: () => void) =>
    durably(
      syncing.writing(() =>
        call(() => {
          checkPlace()
          commits.unsynced(change)
          syncing.wrote(undefined, bytes)
          return Effect.succeed(nothing)
        })
      )
    )

  /** Writes a replacement, and returns what is to be done when it is durable. */
  const replacing = (batch: EntryBatch.EntryBatch) =>
    syncing.writing(() =>
      call((): Effect.Effect<() => void, ReplicaStore.AppendGap | ReplicaStore.AppendDrift> => {
        checkPlace()
        const held = logs.get(batch.log)
        const head = held?.head ?? Watermark.none(batch.log)
        if (held?.damagedEnd !== undefined && EntryBatch.last(batch) >= head.seq) throw held.damagedEnd
        const chainAt = (seq: number) => (held === undefined ? head.chain : HeldLog.chainAt(held, seq))
        const decision = ReplicaStore.decideReplace({ head, damaged: found.ranges, chainAt }, batch)
        if (Result.isFailure(decision)) return Effect.fail(decision.failure)
        const { success: decided } = decision
        if (decided === "Held") return Effect.succeed(nothing)
        const log = held ?? addLog(batch.log)
        const { bytes, settle } = commits.unsynced(() => Replacing.replace(db, log, batch, decided === "Mend"))
        syncing.wrote(log, bytes)
        return Effect.succeed(settle)
      })
    )

  /** Gives up the end of a log where there is one to be given up, and returns what says where the log ends. */
  const cutting = (name: LogId.LogId, after: number | undefined) =>
    syncing.writing(() =>
      call(() => {
        checkPlace()
        const held = logs.get(name)
        const isCut = after === undefined ? held?.damagedEnd !== undefined : after < (held?.head.seq ?? 0)
        if (held === undefined || !isCut) return Effect.succeed(() => held?.head ?? Watermark.none(name))
        const log = commits.unsynced(() => Mending.cut(db, held, after))
        const { head } = log
        logs.set(name, log)
        syncing.wrote(log, 4 * 4096)
        return Effect.succeed(() => head)
      })
    )

  return {
    write,
    changing,
    replace: (batch: EntryBatch.EntryBatch): ReturnType<Store["replace"]> => durably(replacing(batch)),
    cut: (name: LogId.LogId, after?: number): ReturnType<Store["cut"]> => durably(cutting(name, after))
  }
}

// ---------------------------------------------------------------------------------------------------------------------

type Store = ReplicaStore.ReplicaStore["Service"]

const nothing = (): void => undefined
