/**
 * Takes out of the logs, in the background, what nobody needs any more, so that they are about as long as what is live.
 *
 * A round goes over all logs up to their frontiers. An entry goes when each of its records has a newer write that every
 * member holds (superseded); whoever asks for it, has what superseded it, or gets it. A delete goes when no member holds
 * anything any more that it deleted: each member says up to which clock it has swept, which is that nothing is left of what
 * was superseded by writes before that clock. So the order is the same everywhere, first what was deleted and then the
 * delete, and whoever has to fetch logs may fetch them from any member (decision 0058).
 *
 * What is erased leaves a range in the log, by which its places are counted and the chain goes on; see `Erased`.
 */
import { Clock as Clocks, Context, Effect, Layer, Schema, Semaphore } from "effect"
import { EventSink } from "../events/EventSink.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type * as ReplicaStore from "../log/ReplicaStore.ts"
import { Room } from "../log/Room.ts"
import * as IndexFollower from "../record/IndexFollower.ts"
import * as KeptDeletes from "./internal/KeptDeletes.ts"
import * as Leftover from "./internal/leftover.ts"
import * as Pace from "./internal/pace.ts"
import * as Rounds from "./internal/round.ts"
import { Membership } from "../peer/Membership.ts"
import { StableTime } from "../peer/StableTime.ts"
import { Sweeps } from "../peer/Sweeps.ts"

/** How much of the time a round may work while writes come in, from 0 (no rounds at all) to 1. */
export const CompactionShare = Context.Reference<number>("@quorum/core/CompactionShare", { defaultValue: () => 0.1 })

/** How rounds go on; for simulations, where hours and gigabytes have no place. Times in milliseconds. */
export const CompactionPace = Context.Reference<{
  /** How long after a start the first round may begin, and how often it is looked whether one is due. */
  readonly firstMillis: number
  readonly lookMillis: number
  /** How many bytes that may go are worth a round, if they are a quarter of what stays, too; or a twentieth, at rest. */
  readonly minBytes: number
  /** How much of a log is looked at, and written again, in one step. */
  readonly sliceBytes: number
}>("@quorum/core/CompactionPace", {
  defaultValue: () => ({ firstMillis: 10_000, lookMillis: 1000, minBytes: 1024 * 1024, sliceBytes: 64 * 1024 })
})

/** How many bytes of keys are remembered, of which deletes stay because of entries of several records: twice that at most. */
export const KeptDeletesBytes = Context.Reference<number>("@quorum/core/KeptDeletesBytes", {
  defaultValue: () => 16 * 1024 * 1024
})

/** What a round did. */
export const Round = Schema.Struct({
  /** When it ended, in milliseconds since the epoch, and how long it took. */
  endedAt: Schema.Finite,
  millis: Schema.Finite,
  /** Bytes of entries that it erased. */
  erasedBytes: Schema.Finite,
  /** Bytes of entries that it left: those that are live, and those that go when more is known. */
  liveBytes: Schema.Finite,
  waitingBytes: Schema.Finite
})

/** What a round did. */
export type Round = typeof Round.Type

/** What was taken out of the logs. */
export const CompactionStatus = Schema.Struct({
  /** The last round; null before the first. */
  last: Schema.NullOr(Round),
  /** When the round that is under way began; null between two. */
  startedAt: Schema.NullOr(Schema.Finite),
  /** Bytes that were appended since the last round began: an upper bound of what could be erased of them. */
  appendedBytes: Schema.Finite,
  /** Up to which clock nothing is left here of what was superseded before; zero before the first whole round of this run. */
  swept: HybridLogicalClock.HybridLogicalClock,
  /** Deletes before this clock may be forgotten here, because all members have swept so far; null while none may. */
  forgettable: Schema.NullOr(HybridLogicalClock.HybridLogicalClock),
  /**
   * Who keeps the oldest delete that is stable from being forgotten: members that have not said to have swept beyond it,
   * this one among them. One that stays has a range that no member has, or never compacts (`compactionShare: 0`), which
   * it names itself for too.
   */
  heldBackBy: Schema.Array(ReplicaId.ReplicaId),
  /** How many bytes the logs take where they are stored, and how many of these are free for what comes; null before it was asked. */
  space: Schema.NullOr(Schema.Struct({ taken: Schema.Finite, free: Schema.Finite }))
})

/** What was taken out of the logs. */
export type CompactionStatus = typeof CompactionStatus.Type

/** Takes out of the logs what nobody needs. */
export class Compaction extends Context.Service<
  Compaction,
  {
    readonly status: () => CompactionStatus
    /** Makes a round now, without the pauses of those in the background, and waits for its end. */
    readonly now: Effect.Effect<CompactionStatus, ReplicaStore.StoreError>
  }
>()("@quorum/core/Compaction") {}

/** Makes the rounds until the scope closes. */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const { self } = yield* ReplicaSet
  const room = yield* Room
  const follower = yield* IndexFollower.IndexFollower
  const stableTime = yield* StableTime
  const membership = yield* Membership
  const sweeps = yield* Sweeps
  const sink = yield* EventSink
  const clock = yield* Clocks.Clock
  const share = yield* CompactionShare
  const { firstMillis, lookMillis, minBytes, sliceBytes } = yield* CompactionPace
  const oneAtATime = Semaphore.makeUnsafe(1)
  let last: Round | undefined
  let startedAt: number | null = null
  const now = (): number => Monotonic.millis(clock)
  const pace = Pace.make({ now, share, lookMillis, minBytes })
  const keptDeletes = KeptDeletes.make(yield* KeptDeletesBytes)
  const rounds = yield* Rounds.make(keptDeletes, sliceBytes)
  const forgettable = (): HybridLogicalClock.HybridLogicalClock | undefined =>
    keptDeletes.mayForget(sweeps.forgettable())
  const leftover = Leftover.make({ forgettable, stable: () => stableTime.current().clock, sweeps })

  yield* Effect.acquireRelease(
    Effect.sync(() => logs.onAppend(({ bytes }) => pace.appended(bytes.length))),
    (stop) => Effect.sync(stop)
  )

  const round = Effect.fnUntraced(function* (inBackground: boolean) {
    const began = now()
    startedAt = clock.currentTimeMillisUnsafe()
    const generation = sweeps.generation()
    const taken = pace.begin()
    const ends = rounds.ends()
    const found = yield* rounds.run((millis) => pace.pause(millis, inBackground))
    if (found !== undefined) leftover.found(found)
    // Something came back, or was given up, that this round has not looked at.
    if (found === undefined || generation !== sweeps.generation()) return pace.owes(taken)
    yield* sweeps.swept(found.swept)
    leftover.holds(found, ends)
    const { erasedBytes, liveBytes, waitingBytes } = found
    const sum = { erasedBytes, liveBytes, waitingBytes }
    const millis = now() - began
    last = { endedAt: clock.currentTimeMillisUnsafe(), millis, ...sum }
    if (sink.active()) sink.tell({ _tag: "Compacted", durationMillis: millis, ...sum })
  })

  const once = (inBackground: boolean) =>
    oneAtATime.withPermit(
      Effect.ensuring(
        Effect.onError(round(inBackground), () =>
          Effect.sync(() => pace.owes(Math.max(0, minBytes - pace.appendedBytes())))
        ),
        Effect.sync(() => {
          pace.end()
          startedAt = null
        })
      )
    )

  const status = (): CompactionStatus => ({
    last: last ?? null,
    startedAt,
    appendedBytes: pace.appendedBytes(),
    swept: sweeps.own(),
    forgettable: forgettable() ?? null,
    heldBackBy: share === 0 ? [self] : leftover.heldBackBy(),
    space: spaceOf(room.space())
  })

  const isDue = (): boolean => {
    const { liveBytes = 0, waitingBytes = 0 } = last ?? {}
    const least = pace.worthBytes(liveBytes)
    if (!pace.isRested() || follower.isBuilding() || !membership.isVoting()) return false
    if (pace.appendedBytes() >= least) return true
    if (waitingBytes + pace.appendedBytes() < least) return false
    // Nothing new came: what waits goes when the frontier has passed it, or all have swept what its deletes deleted.
    return leftover.isMore(rounds.ends())
  }

  yield* Effect.gen(function* () {
    yield* room.look
    // As if all that is held had been appended just now: how much of it is live is not known before a round.
    pace.owes(room.space()?.taken ?? 0)
    yield* Effect.sleep(firstMillis)
    while (true) {
      if (share > 0 && isDue()) {
        yield* Effect.catch(once(true), ({ message }) =>
          Effect.andThen(
            Effect.logError(`the logs could not be compacted: ${message}; it is tried again in a minute`),
            Effect.sleep(retryMillis)
          )
        )
      }
      yield* Effect.sleep(lookMillis)
      pace.looked()
    }
  }).pipe(Effect.forkScoped)

  return Compaction.of({ status, now: Effect.map(once(false), status) })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(Compaction, make)

// ---------------------------------------------------------------------------------------------------------------------

const spaceOf = (space: ReplicaStore.Space | null): CompactionStatus["space"] =>
  space === null ? null : { taken: space.taken, free: space.free }

/** How long after a failure it is tried again. */
const retryMillis = 60_000
