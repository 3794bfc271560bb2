/**
 * What follows from an append: what is durable is announced and told to listeners, and why the store did not append is
 * known until it has appended again.
 */
import { type Clock, Effect } from "effect"
import type { EventSink } from "../events/EventSink.ts"
import type * as LogId from "../identity/LogId.ts"
import type * as Damage from "./Damage.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as Listeners from "./Listeners.ts"
import * as Monotonic from "./Monotonic.ts"
import type * as NotAppended from "./NotAppended.ts"
import type * as OwnLog from "./OwnLog.ts"
import type { ReplicaClock } from "./ReplicaClock.ts"
import type * as ReplicaStore from "./ReplicaStore.ts"
import type * as Watermark from "./Watermark.ts"

/** What hears of it, and what it rests on. */
export interface Here {
  readonly store: ReplicaStore.ReplicaStore["Service"]
  /** How far every log goes here: what is appended is added. */
  readonly heads: Map<LogId.LogId, Watermark.Watermark>
  readonly own: OwnLog.OwnLog
  readonly clock: Pick<ReplicaClock["Service"], "held">
  readonly damage: ReturnType<typeof Damage.make>
  readonly sink: EventSink
  readonly time: Clock.Clock
}

/** Begins with nothing appended. */
export const make = ({ clock, damage, heads, own, sink, store, time }: Here) => {
  const listeners = Listeners.make<EntryBatch.EntryBatch>()
  let fault: ReplicaStore.StoreError | undefined

  const tellSink = (batch: EntryBatch.EntryBatch, startedAt: number): void => {
    const durationMillis = Monotonic.millis(time) - startedAt
    const { bytes, count, log } = batch
    const seq = EntryBatch.last(batch)
    const syncMillis = store.lastSyncMillis?.()
    const size = bytes.length
    sink.tell({
      _tag: "Appended",
      log,
      own: log === own.id,
      seq,
      entries: count,
      bytes: size,
      durationMillis,
      syncMillis
    })
  }

  return {
    /** A batch is durable, none of which was before; its append began at `startedAt`, by the monotonic clock. */
    durably: (batch: EntryBatch.EntryBatch, startedAt: number): void => {
      fault = undefined
      heads.set(batch.log, EntryBatch.watermark(batch))
      clock.held(batch)
      // Told first: what a listener learns or does of it, such as an ack, comes after.
      if (sink.active()) tellSink(batch, startedAt)
      listeners.tell(batch)
    },
    /**
     * The store could not append; that it would not, because of what the batch is, is no fault of it. Damage that it found
     * on the way is taken in first: what is damaged is not announced from then on. Fails with `failure`.
     */
    failed: <E extends NotAppended.Failure>(
      log: LogId.LogId,
      error: NotAppended.Failure,
      failure: E
    ): Effect.Effect<never, E> => {
      if (error._tag === "StoreError") {
        fault = error
        if (sink.active()) sink.tell({ _tag: "AppendFailed", log, reason: error.reason, detail: error.detail })
      }
      return damage.isNews() ? Effect.andThen(damage.look, Effect.fail(failure)) : Effect.fail(failure)
    },
    /** Why the last append failed, as long as none has succeeded since. */
    fault: () => fault,
    /** Calls `listener` for what is durable, in order. Returns how to stop it. */
    listen: listeners.listen
  }
}
