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
import { Clock as Clocks, Context, Effect, Layer, Option, Schema, Semaphore } from "effect"
import { EventSink } from "../events/EventSink.ts"
import type * as LogId from "../identity/LogId.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import type * as EntryBatch from "../log/EntryBatch.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type * as ReplicaStore from "../log/ReplicaStore.ts"
import { Room } from "../log/Room.ts"
import * as IndexFollower from "../record/IndexFollower.ts"
import * as RecordIndex from "../record/RecordIndex.ts"
import * as RecordKey from "../record/RecordKey.ts"
import { Frontier } from "../peer/Frontier.ts"
import * as Fates from "./internal/fates.ts"
import * as KeptDeletes from "./internal/KeptDeletes.ts"
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
  const index = yield* RecordIndex.RecordIndex
  const follower = yield* IndexFollower.IndexFollower
  const frontier = yield* Frontier
  const stableTime = yield* StableTime
  const membership = yield* Membership
  const sweeps = yield* Sweeps
  const sink = yield* EventSink
  const clock = yield* Clocks.Clock
  const share = yield* CompactionShare
  const { firstMillis, lookMillis, minBytes, sliceBytes } = yield* CompactionPace
  const stable = (): HybridLogicalClock.HybridLogicalClock => stableTime.current().clock
  const oneAtATime = Semaphore.makeUnsafe(1)
  let last: Round | undefined
  let startedAt: number | null = null
  /** When the last round ended, whole or not, and how long it took, by a clock that nobody sets. */
  let tried = { endedAt: Number.NEGATIVE_INFINITY, millis: 0 }
  let appendedBytes = 0
  /** How many looks in a row nothing was appended. */
  let quietLooks = 0
  /** What the last whole round rested on: as long as it is the same, another finds no more. */
  let lookedAt = ""
  /** The round under way has met deletes that stay until what waits of their keys is in the index. */
  let hasUnsettled = false
  let oldestDelete: HybridLogicalClock.HybridLogicalClock | undefined
  const keptDeletes = KeptDeletes.make(yield* KeptDeletesBytes)
  const forgettable = (): HybridLogicalClock.HybridLogicalClock | undefined =>
    keptDeletes.mayForget(sweeps.forgettable())

  yield* Effect.acquireRelease(
    Effect.sync(() =>
      logs.onAppend(({ bytes }) => {
        appendedBytes += bytes.length
        quietLooks = 0
      })
    ),
    (stop) => Effect.sync(stop)
  )

  /** What is known of the keys of a batch. */
  const lookUp = Effect.fnUntraced(function* (batch: EntryBatch.EntryBatch, ends: Ends) {
    const keys = new Map<string, RecordKey.RecordKey>()
    for (const each of Fates.keysOf(batch)) keys.set(RecordKey.keyOf(each.namespace, each.key), each)
    const known = new Map<string, Fates.Newest>()
    const isEverywhere = (pointer: RecordIndex.Pointer | undefined): boolean =>
      pointer !== undefined && pointer.seq <= (ends.get(pointer.log) ?? 0)
    const ids = Array.from(keys.keys())
    for (let i = 0; i < ids.length; i += turnKeys) {
      if (i > 0) yield* Effect.yieldNow
      const turn = ids.slice(i, i + turnKeys)
      const found = yield* follower.newestOf(turn.map((id) => keys.get(id)!))
      found.forEach(({ indexed, isSettled, newest }, j) => {
        // The newest of a key that is written again and again has never got everywhere. What the index has is a little older.
        const everywhere = [newest, indexed].find(isEverywhere)
        known.set(turn[j]!, { newest, everywhere, isSettled })
        if (!isSettled && newest?.deleted === true) hasUnsettled = true
      })
    }
    return (namespace: string, key: string) => known.get(RecordKey.keyOf(namespace, key)) ?? unknown
  })

  /** Remembers of which keys deletes stay. */
  function* remember({ needed, released }: Fates.Decided): Generator<void, void> {
    let turn = 0
    for (const { forLive, key } of needed) {
      keptDeletes.needs(key, forLive)
      if (++turn % turnPointers === 0) yield
    }
    for (const { after, key } of released) {
      keptDeletes.releases(key, after)
      if (++turn % turnPointers === 0) yield
    }
  }

  /** Whether the batch could be put in the place of what it was made from. */
  const erased = (batch: EntryBatch.EntryBatch) =>
    Effect.as(logs.erase(batch), true).pipe(
      Effect.catchTags({ AppendDrift: () => Effect.succeed(false), AppendGap: () => Effect.succeed(false) })
    )

  const endsNow = (): Ends => new Map(frontier.current().map(({ log, seq }) => [log, seq]))

  /** Whether a round would show that what the oldest delete deleted is gone. */
  const isToSweep = (): boolean =>
    oldestDelete !== undefined &&
    HybridLogicalClock.compare(stable(), oldestDelete) > 0 &&
    HybridLogicalClock.compare(sweeps.own(), oldestDelete) <= 0

  const stateOf = (ends: Ends): string => {
    const { logical = 0, wallTime = 0 } = forgettable() ?? {}
    return `${Array.from(ends.values()).reduce((sum, seq) => sum + seq, 0)} ${wallTime}.${logical} ${isToSweep()}`
  }

  /** A pause after work of so many milliseconds, while others write. */
  const pause = (millis: number, isBusy: boolean) =>
    isBusy && share < 1 ? Effect.sleep(Math.min(maxPauseMillis, millis * (1 / share - 1))) : Effect.yieldNow

  const round = Effect.fnUntraced(function* (inBackground: boolean) {
    const began = Monotonic.millis(clock)
    startedAt = clock.currentTimeMillisUnsafe()
    const since = appendedBytes
    const generation = sweeps.generation()
    appendedBytes = 0
    hasUnsettled = false
    let appendedBefore = 0
    const unfinished = (): undefined => {
      appendedBytes += since
      return undefined
    }
    const ends = endsNow()
    let swept = stable()
    const forgetBefore = keptDeletes.begin(sweeps.forgettable())
    const isNeeded = (namespace: string, key: string): boolean => keptDeletes.isNeeded({ namespace, key })
    const isNeededForLive = (namespace: string, key: string): boolean => keptDeletes.isNeededForLive({ namespace, key })
    const sum = { erasedBytes: 0, liveBytes: 0, waitingBytes: 0 }
    let oldest: HybridLogicalClock.HybridLogicalClock | undefined
    for (const head of logs.heads()) {
      const { log } = head
      const end = Math.min(ends.get(log) ?? 0, head.seq)
      // To its end: what stays because not all hold it is no less left.
      for (let at = 0; at < head.seq;) {
        const sliceBegan = Monotonic.millis(clock)
        if (!membership.isVoting() || logs.damageAt(log, at + 1) !== undefined) return unfinished()
        const read = yield* logs.read(log, at, sliceBytes)
        if (Option.isNone(read)) return unfinished()
        const of = yield* lookUp(read.value, ends)
        // What could not be looked at may be the newest of any key.
        if (follower.unreadable().length > 0) return unfinished()
        const now = logs.clock()
        const asked = { log, of, frontier: end, forgetBefore, isNeeded, isNeededForLive, now }
        const decided = yield* inTurns(Fates.decide(read.value, asked))
        // First the pointers: one that leads to nothing would be one that cannot be trusted.
        for (let i = 0; i < decided.forgotten.length; i += turnPointers) {
          yield* index.forget(decided.forgotten.slice(i, i + turnPointers))
        }
        // The log is another one by now: a side of it was given up.
        if (decided.batch !== read.value && !(yield* erased(decided.batch))) return unfinished()
        at = read.value.from + read.value.count - 1
        sum.erasedBytes += decided.goneBytes
        sum.liveBytes += decided.keptBytes
        sum.waitingBytes += decided.waitingBytes
        if (decided.oldestLeft !== undefined) swept = Fates.earlier(swept, decided.oldestLeft)
        if (decided.oldestDelete !== undefined) oldest = Fates.earlier(oldest, decided.oldestDelete)
        yield* inTurns(remember(decided))
        const isBusy = inBackground && appendedBytes !== appendedBefore
        appendedBefore = appendedBytes
        yield* pause(Monotonic.millis(clock) - sliceBegan, isBusy)
      }
    }
    keptDeletes.end()
    oldestDelete = oldest
    // Something came back, or was given up, that this round has not looked at.
    if (generation !== sweeps.generation()) return unfinished()
    yield* sweeps.swept(swept)
    lookedAt = hasUnsettled ? "" : stateOf(ends)
    const millis = Monotonic.millis(clock) - began
    last = { endedAt: clock.currentTimeMillisUnsafe(), millis, ...sum }
    if (sink.active()) sink.tell({ _tag: "Compacted", durationMillis: millis, ...sum })
    return last
  })

  const heldBackBy = (): ReadonlyArray<ReplicaId.ReplicaId> => {
    if (share === 0) return [self]
    const isOld = oldestDelete !== undefined && HybridLogicalClock.compare(stable(), oldestDelete) > 0
    return isOld ? sweeps.notBeyond(oldestDelete!) : []
  }

  const status = (): CompactionStatus => ({
    last: last ?? null,
    startedAt,
    appendedBytes,
    swept: sweeps.own(),
    forgettable: forgettable() ?? null,
    heldBackBy: heldBackBy(),
    space: spaceOf(room.space())
  })

  /** What waits can go by now: its frontier has moved, or its deletes are older than what all have swept. */
  const isWorthWaiting = (): boolean => {
    if (oldestDelete === undefined) return true
    const mayForget = forgettable() ?? HybridLogicalClock.zero
    return HybridLogicalClock.compare(oldestDelete, mayForget) < 0 || isToSweep()
  }

  const once = (inBackground: boolean) =>
    oneAtATime.withPermit(
      Effect.suspend(() => {
        const began = Monotonic.millis(clock)
        return Effect.ensuring(
          Effect.tapError(round(inBackground), () =>
            Effect.sync(() => void (appendedBytes = Math.max(appendedBytes, minBytes)))
          ),
          Effect.sync(() => {
            const endedAt = Monotonic.millis(clock)
            tried = { endedAt, millis: endedAt - began }
            startedAt = null
          })
        )
      })
    )

  /**
   * Whether a round is worth its reading: as much may go as a quarter of what stays, or a twentieth where nothing is written
   * that it could hold up.
   */
  const isDue = (): boolean => {
    const { liveBytes = 0, waitingBytes = 0 } = last ?? {}
    const { endedAt, millis } = tried
    const isRested = Monotonic.millis(clock) - endedAt >= Math.max(lookMillis, millis * restFactor)
    const least = Math.max(minBytes, liveBytes / (quietLooks >= restLooks ? 20 : 4))
    if (!isRested || follower.isBuilding() || !membership.isVoting()) return false
    if (appendedBytes >= least) return true
    if (waitingBytes + appendedBytes < least) return false
    // Nothing new came: what waits goes when the frontier has passed it, or all have swept what its deletes deleted.
    return stateOf(endsNow()) !== lookedAt && isWorthWaiting()
  }

  yield* Effect.gen(function* () {
    yield* room.look
    // As if all that is held had been appended just now: how much of it is live is not known before a round.
    appendedBytes += room.space()?.taken ?? 0
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
      quietLooks++
    }
  }).pipe(Effect.forkScoped)

  return Compaction.of({ status, now: Effect.map(once(false), status) })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(Compaction, make)

// ---------------------------------------------------------------------------------------------------------------------

const spaceOf = (space: ReplicaStore.Space | null): CompactionStatus["space"] =>
  space === null ? null : { taken: space.taken, free: space.free }

/** Up to where every member holds each log. */
type Ends = ReadonlyMap<LogId.LogId, number>

const unknown: Fates.Newest = { newest: undefined, everywhere: undefined, isSettled: true }

/** After how many keys others have their turn, and after how many pointers. */
const turnKeys = 32
const turnPointers = 512

/** Does something step by step, and lets others have their turn after each. */
const inTurns = <A>(steps: Generator<void, A>): Effect.Effect<A> =>
  Effect.gen(function* () {
    for (;;) {
      const step = steps.next()
      if (step.done === true) return step.value
      yield* Effect.yieldNow
    }
  })

/** How long after a failure it is tried again. */
const retryMillis = 60_000

/** The longest pause between two steps. */
const maxPauseMillis = 1000

/** After so many looks without a write it is at rest. */
const restLooks = 10

/** A round is not followed by another for so many times as long as it took. */
const restFactor = 9
