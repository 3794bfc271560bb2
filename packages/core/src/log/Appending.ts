/**
 * How batches are appended: entries of the own log, which are stamped where they get their places and are pushed before they
 * are synced; and copies of the members' logs.
 */
import { type Clock, Effect, Result, type Semaphore, type Tracer } from "effect"
import type * as LogId from "../identity/LogId.ts"
import type * as Appended from "./Appended.ts"
import type * as AppendSpans from "./AppendSpans.ts"
import type * as Damage from "./Damage.ts"
import type * as DiskWatch from "./DiskWatch.ts"
import type * as Entry from "./Entry.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as ErasedElsewhere from "./ErasedElsewhere.ts"
import type * as Floor from "./Floor.ts"
import type * as HybridLogicalClock from "./HybridLogicalClock.ts"
import * as Listeners from "./Listeners.ts"
import * as Monotonic from "./Monotonic.ts"
import * as NotAppended from "./NotAppended.ts"
import type * as OwnLog from "./OwnLog.ts"
import type { Order, ReplicaClock } from "./ReplicaClock.ts"
import type * as ReplicaStore from "./ReplicaStore.ts"
import type * as Watermark from "./Watermark.ts"

/** What it rests on. */
export interface Here {
  readonly store: ReplicaStore.ReplicaStore["Service"]
  readonly own: OwnLog.OwnLog
  /** How far a log is durable here. */
  readonly head: (log: LogId.LogId) => Watermark.Watermark
  readonly clock: Pick<ReplicaClock["Service"], "secure">
  readonly damage: ReturnType<typeof Damage.make>
  readonly disk: ReturnType<typeof DiskWatch.make>
  readonly floor: Effect.Success<ReturnType<typeof Floor.make>>
  readonly spans: ReturnType<typeof AppendSpans.make>
  readonly appended: ReturnType<typeof Appended.make>
  /** The own log does not change while something is appended to it. */
  readonly writing: Semaphore.Semaphore
  readonly time: Clock.Clock
  /** Draws the stamps of entries. */
  readonly stamp: (
    writes: ReadonlyArray<Entry.Writes>,
    orderOf: (index: number) => Order
  ) => Result.Result<ReadonlyArray<Entry.Stamp>, HybridLogicalClock.ClockExhausted>
}

/** Appends one batch at a time to the own log; of copies, whoever calls holds the lock of their log. */
export const make = ({ appended, clock, damage, disk, floor, head, own, spans, stamp, store, time, writing }: Here) => {
  const onWritten = Listeners.make()

  /** Appends own entries, in two steps where the store has them: they are pushed after the first. */
  const appendOwn = (batch: EntryBatch.EntryBatch, spans: ReadonlyArray<Tracer.Span>) => {
    const { steps } = store
    if (steps === undefined) return store.append(batch)
    return Effect.flatMap(steps.write(batch), (watermark) => {
      own.written(batch, spans)
      // The disk begins first: sending takes the event loop about as long as a sync takes the disk.
      const sync = Effect.mapError(steps.sync, NotAppended.notSynced)
      return Effect.as(Effect.all([sync, Effect.sync(onWritten.tell)], { concurrency: 2 }), watermark)
    })
  }

  /** Appends, after what a start needs to know of the clocks is durable. */
  const secured = <A>(batch: EntryBatch.EntryBatch, append: Effect.Effect<A, NotAppended.Failure>) => {
    const before = clock.secure(batch)
    return before === undefined ? append : Effect.andThen(before, append)
  }

  return {
    /** Stamps entries, and appends them to the own log as one batch, if that is `expected` still. */
    own: (
      writes: ReadonlyArray<Entry.Writes>,
      orderOf: (index: number) => Order = () => unprobed,
      commits: ReadonlyArray<Tracer.AnySpan> = [],
      expected: LogId.LogId = own.id
    ) =>
      writing.withPermit(
        Effect.suspend((): OwnAppend => {
          if (expected !== own.id) return Effect.fail(NotAppended.anotherLog)
          const startedAt = Monotonic.millis(time)
          // Looked at where the place is given: what was told of the floor holds for all that comes after.
          const stamps = Result.flatMap(stamp(writes, orderOf), floor.check(orderOf))
          if (Result.isFailure(stamps)) return Effect.fail(stamps.failure)
          const end = own.end(head(own.id))
          const encoded = EntryBatch.encodeStamped(end, writes, (index) => stamps.success[index]!)
          const { batch } = encoded
          const started = spans.startOwn(batch, commits)
          const append = spans.within(started, secured(batch, appendOwn(batch, started)))
          return Effect.matchEffect(disk.within(batch.log, append), {
            onFailure: (error) =>
              appended.failed(batch.log, error, error._tag === "StoreError" ? error : NotAppended.changed(error)),
            onSuccess: () => {
              const isAtOnce = store.steps === undefined
              if (isAtOnce) own.written(batch, started)
              appended.durably(batch, startedAt)
              if (isAtOnce) onWritten.tell()
              return Effect.succeed(encoded)
            }
          })
        }).pipe(Effect.uninterruptible)
      ),
    /**
     * Appends a batch that came from a peer, while the lock of its log is held, and in one piece: what is durable has to be
     * announced, whoever has stopped waiting for it.
     */
    copy: (batch: EntryBatch.EntryBatch, within: ReadonlyArray<Tracer.AnySpan>) =>
      Effect.suspend(() => {
        // Of what is erased there a part may be held here.
        const isOver = batch.from <= head(batch.log).seq && EntryBatch.erasedAt(batch) !== undefined
        const by = {}
        const taken = Effect.ensuring(
          damage.looking(ErasedElsewhere.append(store, head(batch.log), batch, damage.erasing(by))),
          damage.erased(by)
        )
        const startedAt = Monotonic.millis(time)
        const append = spans.within(
          spans.startCopy(batch, within),
          isOver ? secured(batch, taken) : secured(batch, store.append(batch))
        )
        return Effect.matchEffect(disk.within(batch.log, Effect.andThen(damage.mendBy(batch), append)), {
          onFailure: (error) => appended.failed(batch.log, error, error),
          onSuccess: (watermark): Effect.Effect<Watermark.Watermark, ReplicaStore.StoreError> => {
            const held = head(batch.log).seq
            if (EntryBatch.last(batch) > held) appended.durably(EntryBatch.after(batch, held), startedAt)
            const refused = damage.of(batch.log)
            return refused === undefined ? Effect.succeed(watermark) : Effect.fail(refused)
          }
        })
      }),
    /** Calls `listener` whenever the own log was written to, before that is durable. Returns how to stop it. */
    onWritten: onWritten.listen
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const unprobed: Order = { after: undefined, unprobed: true }

type OwnAppend = Effect.Effect<
  EntryBatch.Encoded,
  ReplicaStore.StoreError | HybridLogicalClock.ClockExhausted | Floor.BelowFloor
>
