/**
 * What changes the logs of an open store: one change after the other, each a commit of LMDB that is durable when it returns.
 */
import type { LogId } from "@quorum/core"
import { DamagedRange, EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Result } from "effect"
import type * as Environment from "./environment.ts"
import type * as Guard from "./guard.ts"
import * as HeldLog from "./heldLog.ts"
import * as Mending from "./mending.ts"
import * as Rows from "./rows.ts"

/** What is changed, and what every change goes through. */
export interface Options {
  readonly file: string
  readonly environment: Environment.Environment
  readonly guard: Guard.Guard
  readonly entries: ReturnType<typeof Rows.entriesOf>
  readonly damage: HeldLog.Found
  readonly logs: Map<LogId.LogId, HeldLog.HeldLog>
}

/** Changes nothing by itself. */
export const make = ({ damage, entries, environment, file, guard: { change, commit }, logs }: Options) => {
  let syncMillis = 0

  const appendTo = (log: HeldLog.HeldLog, batch: EntryBatch.EntryBatch) => {
    const startedAt = performance.now()
    const what = `entries ${batch.from} to ${EntryBatch.last(batch)} of ${batch.log}`
    const write = () => Rows.put(environment, log, batch)
    return Effect.map(commit(what, batch.bytes.length, write), () => {
      syncMillis = performance.now() - startedAt
      log.head = EntryBatch.watermark(batch)
      logs.set(batch.log, log)
      return log.head
    })
  }

  const replaceIn = (log: HeldLog.HeldLog, batch: EntryBatch.EntryBatch, mends: boolean) => {
    const replaced = { log: batch.log, from: batch.from, to: EntryBatch.last(batch) }
    const what = `what takes the place of the entries ${replaced.from} to ${replaced.to} of ${batch.log}`
    return Effect.map(
      commit(what, batch.bytes.length, () => Mending.replace(environment, log, batch, mends)),
      () => {
        damage.ranges = DamagedRange.without(damage.ranges, replaced)
        if (replaced.to <= log.head.seq) return
        log.head = EntryBatch.watermark(batch)
        logs.set(batch.log, log)
      }
    )
  }

  return {
    append: (batch: EntryBatch.EntryBatch) =>
      change((): ReturnType<Store["append"]> => {
        const log = logs.get(batch.log) ?? HeldLog.make(file, entries, batch.log, damage)
        if (log.damagedEnd !== undefined) return Effect.fail(log.damagedEnd)
        const decision = ReplicaStore.decideAppend(log.head, batch, (seq) => HeldLog.chainAt(log, seq))
        if (Result.isFailure(decision)) return Effect.fail(decision.failure)
        return decision.success._tag === "Held"
          ? Effect.succeed(decision.success.watermark)
          : appendTo(log, decision.success.batch)
      }),
    replace: (batch: EntryBatch.EntryBatch) =>
      change((): ReturnType<Store["replace"]> => {
        const log = logs.get(batch.log) ?? HeldLog.make(file, entries, batch.log, damage)
        const { head } = log
        if (log.damagedEnd !== undefined && EntryBatch.last(batch) >= head.seq) return Effect.fail(log.damagedEnd)
        const chainAt = (seq: number) => HeldLog.chainAt(log, seq)
        const decision = ReplicaStore.decideReplace({ head, damaged: damage.ranges, chainAt }, batch)
        if (Result.isFailure(decision)) return Effect.fail(decision.failure)
        return decision.success === "Held" ? Effect.void : replaceIn(log, batch, decision.success === "Mend")
      }),
    cut: (name: LogId.LogId, after?: number) =>
      change(() => {
        const log = logs.get(name)
        const isCut = after === undefined ? log?.damagedEnd !== undefined : after < (log?.head.seq ?? 0)
        if (log === undefined || !isCut) return Effect.succeed(log?.head ?? Watermark.none(name))
        const { damaged, head } = after === undefined ? Mending.soundEnd(log) : Mending.endAt(log, after)
        return Effect.map(
          commit(`the end of ${name}`, 0, () => Mending.removeFrom(environment, log, damaged.from)),
          () => {
            log.head = head
            log.damagedEnd = undefined
            if (head.seq === 0) logs.delete(name)
            damage.ranges = DamagedRange.without(damage.ranges, damaged)
            return head
          }
        )
      }),
    /** How long the last append took to be durable, in milliseconds. */
    lastSyncMillis: (): number => syncMillis
  }
}

// ---------------------------------------------------------------------------------------------------------------------

type Store = ReplicaStore.ReplicaStore["Service"]
