/**
 * What is read of the logs of this replica: no further than they are durable here, or written, whatever the store has;
 * and what reading shows of the store, that something is damaged or that it cannot be read.
 */
import { Effect, Option } from "effect"
import type * as LogId from "../identity/LogId.ts"
import type * as Damage from "./Damage.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as Erased from "./Erased.ts"
import type * as OwnLog from "./OwnLog.ts"
import * as PassingFault from "./PassingFault.ts"
import type * as ReplicaStore from "./ReplicaStore.ts"
import type * as Watermark from "./Watermark.ts"

/** Whether a store fails because of damage that it knows: that is no fault of the store. */
export const isDamage = (store: ReplicaStore.ReplicaStore["Service"], error: ReplicaStore.StoreError): boolean =>
  error.reason === "corrupt" && store.damaged().length > 0

/** Reads a store, of which each log is durable up to its `head`, and the newest of the own one from memory. */
export const make = Effect.fnUntraced(function* ({
  damage,
  head,
  own,
  store
}: {
  readonly store: ReplicaStore.ReplicaStore["Service"]
  readonly own: OwnLog.OwnLog
  readonly head: (log: LogId.LogId) => Watermark.Watermark
  readonly damage: ReturnType<typeof Damage.make>
}) {
  const fault = yield* PassingFault.make

  /** What is read shows damage, whether the read went well or not. */
  const reading = <A>(read: Effect.Effect<A, ReplicaStore.StoreError>): Effect.Effect<A, ReplicaStore.StoreError> =>
    Effect.matchEffect(read, {
      onFailure: (error) => {
        if (damage.isNews()) return Effect.andThen(damage.look, Effect.fail(error))
        if (!isDamage(store, error)) fault.failed(error, reading(read))
        return Effect.fail(error)
      },
      onSuccess: (found) => {
        if (damage.isNews()) return Effect.as(damage.look, found)
        fault.passed()
        return Effect.succeed(found)
      }
    })
  const readStored = (log: LogId.LogId, after: number, maxBytes: number) => {
    const batch = own.read(log, after, maxBytes)
    return batch === undefined ? reading(store.read(log, after, maxBytes)) : Effect.succeedSome(batch)
  }

  /**
   * What was read, up to a place: the store may hold more than it has said to be durable, or written. Of ranges of erased
   * entries no more than one stands for at most, and the one that this ends in: more of them could not be counted where
   * they travel.
   */
  const partUpTo =
    (endOf: (log: LogId.LogId) => Watermark.Watermark) =>
    (batch: EntryBatch.EntryBatch): Option.Option<EntryBatch.EntryBatch> => {
      const { seq } = endOf(batch.log)
      return batch.from > seq
        ? Option.none()
        : Option.some(EntryBatch.upTo(batch, Math.min(seq, batch.from + Erased.maxCount - 1)))
    }
  const durablePart = Option.flatMap(partUpTo(head))
  const writtenPart = Option.flatMap(partUpTo((log) => own.end(head(log))))

  return {
    /** The entries after `after` that are durable here, as many as fit in `maxBytes` but at least one. */
    read: (log: LogId.LogId, after: number, maxBytes: number) =>
      Effect.map(readStored(log, after, maxBytes), durablePart),
    /** The same of the own log as far as it was written. */
    readOwn: (after: number, maxBytes: number) => Effect.map(readStored(own.id, after, maxBytes), writtenPart),
    /** The chain after entry `seq`; none beyond what is held. */
    chainAt: (log: LogId.LogId, seq: number) => {
      const known = head(log)
      // The chain after a damaged entry is not known, and a guess would be a drift.
      const isKnown = known.seq === seq && damage.at(log, seq) === undefined
      return isKnown ? Effect.succeed(Option.some(known.chain)) : reading(store.chainAt(log, seq))
    },
    /** Reads entries again, as the store's `check` does. */
    check: (log: LogId.LogId, after: number, maxBytes: number) => reading(store.check(log, after, maxBytes)),
    /** Why something could not be read, as long as it has not been since. */
    fault: fault.current
  }
})
