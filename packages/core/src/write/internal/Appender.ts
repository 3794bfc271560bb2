/**
 * Appends the writes that wait, one batch after the other, and hands them over to wait for their acks.
 */
import { Cause, Duration, Effect, Exit, Option, Result, type Tracer } from "effect"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import { EventSink } from "../../events/EventSink.ts"
import type { CommitOutcome } from "../../events/ReplicaEvents.ts"
import * as Entry from "../../log/Entry.ts"
import type * as EntryBatch from "../../log/EntryBatch.ts"
import { type BelowFloor, StampHorizon } from "../../log/Floor.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import { ReplicaClock } from "../../log/ReplicaClock.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { StoreError } from "../../log/ReplicaStore.ts"
import { Membership } from "../../peer/Membership.ts"
import { Replication } from "../../peer/Replication.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"
import type { CommitError } from "../WriteOptions.ts"
import * as CommitQueue from "./CommitQueue.ts"
import type * as InFlight from "./InFlight.ts"
import * as Probing from "./Probing.ts"

/**
 * How long, beyond its deadline's worth, a write waits for a replica that has just started and may not append yet, in
 * milliseconds. Peers that are silent, and what they hold of its log, take some seconds.
 */
const startMillis = 10_000

/** How often it is looked whether the store answers, in milliseconds. */
const stallMillis = 500

/** Starts with nothing to append; appends in the background until the scope closes. */
export const make = Effect.fnUntraced(function* (inFlight: InFlight.InFlight, onIdle: () => void) {
  const logs = yield* ReplicaLogs
  const membership = yield* Membership
  const replication = yield* Replication
  const clock = yield* ReplicaClock
  const horizonMillis = yield* StampHorizon
  const n = (yield* ReplicaSet).peers.length + 1
  const sink = yield* EventSink
  /** The writes that may be stamped. */
  const queue = CommitQueue.make()
  /** Woken, the appender goes on within the call: a latch would take one more turn of the event loop. */
  let wake = (): void => undefined
  const some = Effect.callback<void>((resume) => {
    wake = () => resume(Effect.void)
  })
  /** Set while all who wait have been waited for already: they were covered by one probe. */
  let isGathered = false
  /** Set while writers are answered: those who write again at once come together. */
  let isGathering = false
  /** Taken from the queue and not yet in flight: an append is under way. */
  let appending: ReadonlyArray<CommitQueue.Commit> = []
  /** When that append began. */
  let appendingSince = 0
  /** Set when it is not known whether an append took place. */
  let broken: QuorumError.LocalWriteFailed | undefined

  /** Whether a majority is asked for its clocks first. Alone, this replica is one. */
  const isProbed = (policy: QuorumPolicy.QuorumPolicy): boolean => n > 1 && QuorumPolicy.isRealTime(policy)

  /** A write that has its stamp already asks nobody. */
  const asks = ({ drawn, policy }: CommitQueue.Commit): boolean => drawn === undefined && isProbed(policy)

  /** Answers writes with an error. */
  const refuse = (commits: ReadonlyArray<CommitQueue.Commit>, outcome: CommitOutcome, error: CommitError): void => {
    if (commits.length === 0) return
    if (sink.active()) {
      sink.tell({ _tag: "CommitsEnded", outcome, reason: undefined, writes: commits.length, durationMillis: 0 })
    }
    const failed = Exit.fail(error)
    for (const { cancelled, resume } of commits) if (!cancelled) resume(failed)
  }

  const onCovered = (commits: ReadonlyArray<CommitQueue.Commit>): void => {
    for (const commit of commits) queue.offer(commit)
    isGathered = true
    wake()
  }
  const probing = yield* Probing.make({
    now: inFlight.now,
    onCovered,
    onUnavailable: (commit, error) => {
      const accepting = QuorumPolicy.accepting(commit.policy)
      if (accepting === undefined) {
        if (!commit.cancelled) refuse([commit], "quorum_unavailable", error)
        return onIdle()
      }
      commit.policy = accepting
      commit.unprobed = true
      onCovered([commit])
    }
  })

  /** Writes that share what decides about them wait together. */
  const watch = (
    commits: ReadonlyArray<CommitQueue.Commit>,
    { batch, checks, stamps }: EntryBatch.Encoded,
    startedAt: number
  ): void => {
    for (let i = 0; i < commits.length; i++) {
      const commit = commits[i]!
      commit.seq = batch.from + i
      commit.check = checks[i]!
      commit.version = stamps[i]
      // The log has it now; what waits for acks needs no copy.
      commit.write = undefined
      commit.onDurable?.(commit)
    }
    for (const waiters of groupsOf(commits)) inFlight.watch(logs.own, waiters[0]!.policy, waiters, startedAt, true)
  }

  /**
   * Only a typed error of the store says that nothing was written. After anything else the writes may be there, so
   * they are answered as not known, and this replica takes no further ones: it does not know where its log ends.
   */
  const notAppended = (
    commits: ReadonlyArray<CommitQueue.Commit>,
    cause: Cause.Cause<StoreError | HybridLogicalClock.ClockExhausted | BelowFloor>
  ) => {
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    const detail = error === undefined ? Cause.pretty(cause) : error.message
    const because = error === undefined ? {} : { cause: error }
    if (error !== undefined && !(error._tag === "StoreError" && error.reason === "uncertain")) {
      refuse(commits, "local_write_failed", new QuorumError.LocalWriteFailed({ detail, ...because }))
      return Effect.void
    }
    broken = new QuorumError.LocalWriteFailed({
      detail: `an earlier append failed, restart this replica: ${detail}`,
      ...because
    })
    refuse(commits, "write_uncertain", new QuorumError.WriteUncertain({ detail, ...because }))
    return Effect.logError(broken.message)
  }

  const draw = (commits: ReadonlyArray<CommitQueue.Commit>): void => {
    const writes = commits.map(({ write }) => write!)
    const stamps = logs.stamp(writes, (index) => commits[index]!)
    if (Result.isSuccess(stamps)) return commits.forEach(({ onDrawn }, i) => onDrawn!(stamps.success[i]!, writes[i]!))
    const { message: detail } = stamps.failure
    refuse(commits, "local_write_failed", new QuorumError.LocalWriteFailed({ detail, cause: stamps.failure }))
  }

  /** Answers writes whose stamps are at or below the floor. The others are as before, and not stamped yet. */
  const withoutTooOld = (commits: ReadonlyArray<CommitQueue.Commit>, { floor }: BelowFloor) => {
    const isTooOld = ({ drawn }: CommitQueue.Commit): boolean =>
      drawn !== undefined && HybridLogicalClock.compare(drawn.clock, floor) <= 0
    for (const commit of commits.filter(isTooOld)) {
      const ageMillis = clock.time().millis - commit.drawn!.clock.wallTime
      refuse([commit], "write_rejected", new QuorumError.TooOldToKnow({ ageMillis, horizonMillis }))
    }
    return commits.filter((commit) => !isTooOld(commit))
  }

  const append = Effect.fnUntraced(function* (taken: ReadonlyArray<CommitQueue.Commit>): Effect.fn.Return<void> {
    if (broken !== undefined) return refuse(taken, "local_write_failed", broken)
    const drawing = taken.filter(({ onDrawn }) => onDrawn !== undefined)
    if (drawing.length > 0) draw(drawing)
    const batch = drawing.length > 0 ? taken.filter(({ onDrawn }) => onDrawn === undefined) : taken
    const { odd, sound } = sortOut(batch)
    for (const [commit, error] of odd) refuse([commit], "write_rejected", error)
    if (sound.length === 0) return
    appending = sound
    const startedAt = inFlight.now()
    appendingSince = startedAt
    const writes = sound.map(({ write }) => write!)
    const { own } = logs
    const order = (index: number) => sound[index]!
    const appended = yield* Effect.exit(logs.appendWrites(writes, order, spansOf(sound), own))
    appending = []
    if (Exit.isFailure(appended)) {
      const error = Option.getOrUndefined(Exit.findErrorOption(appended))
      if (error?._tag === "BelowFloor") return yield* append(withoutTooOld(sound, error))
      return yield* notAppended(sound, appended.cause)
    }
    watch(sound, appended.value, startedAt)
  })

  /** Answers writes that have waited for long while this replica may not append yet. */
  const refuseWaiting = Effect.sync(() => {
    const now = inFlight.now()
    const detail = membership.obstacle() ?? "it has not asked all of its peers yet what they know of it"
    const isOverdue = ({ monotonicMillis, policy }: CommitQueue.Commit): boolean =>
      replication.wasReady() || now - monotonicMillis > startMillis + Duration.toMillis(policy.ackTimeout)
    const overdue = [...probing.takeOverdue(isOverdue), ...queue.takeOverdue(isOverdue)]
    refuse(overdue, "not_ready", new QuorumError.NotReady({ detail }))
    onIdle()
  })

  /**
   * Answers writes whose deadline has passed while the store has not answered an append: what became of those in it is
   * not known, and those behind it are not written.
   */
  const refuseStalled = Effect.sync(() => {
    const now = inFlight.now()
    const isOverdue = ({ monotonicMillis, policy }: CommitQueue.Commit): boolean =>
      now - Math.max(monotonicMillis, appendingSince) > Duration.toMillis(policy.ackTimeout)
    if (!appending.some(isOverdue)) return
    const detail = `its disk has not answered an append for ${Math.floor((now - appendingSince) / 1000)} s`
    const stalled = appending.filter((commit) => !commit.cancelled && isOverdue(commit))
    refuse(stalled, "write_uncertain", new QuorumError.WriteUncertain({ detail }))
    for (const commit of stalled) commit.cancelled = true
    refuse(queue.takeOverdue(isOverdue), "not_ready", new QuorumError.NotReady({ detail }))
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(stallMillis), refuseStalled)))

  yield* Effect.gen(function* () {
    let hasBegun = false
    while (true) {
      if (!replication.isReady()) {
        yield* Effect.raceFirst(replication.ready, Effect.forever(Effect.andThen(Effect.sleep(100), refuseWaiting)))
      }
      if (!hasBegun) probing.begin()
      hasBegun = true
      if (queue.size() === 0) {
        onIdle()
        isGathered = false
        yield* some
      }
      // One turn, in which acks are heard, and writers that wake together come into the same batch.
      if (!isGathered || inFlight.size() > 0) yield* Effect.yieldNow
      if (!replication.isReady()) continue
      const batch = queue.takeBatch()
      if (batch.length > 0) yield* append(batch)
    }
  }).pipe(Effect.forkScoped)

  return {
    /** Why nothing is appended any more; `undefined` while all is well. */
    broken: () => broken,
    /**
     * Whether it matters how long a write has waited: this replica may not append yet, asks for clocks before, or has an
     * append under way that may take long.
     */
    needsTime: (policy: QuorumPolicy.QuorumPolicy): boolean =>
      appending.length > 0 || !replication.isReady() || isProbed(policy),
    /** How many writes wait for an append. */
    waiting: () => probing.size() + queue.size() + appending.length,
    /** Bytes of values that wait for an append. */
    bytes: () => probing.bytes() + queue.bytes(),
    offer: (commit: CommitQueue.Commit): void => {
      if (asks(commit)) return probing.offer(commit, !isGathering)
      queue.offer(commit)
      if (!isGathering) wake()
    },
    /** Answers writers. What they write within their answers is asked for, or appended, after it and without a turn. */
    answering: (answer: () => void): void => {
      if (isGathering) return answer()
      isGathering = true
      try {
        answer()
      } finally {
        isGathering = false
        probing.wake()
        if (queue.size() > 0) {
          isGathered = true
          wake()
        }
      }
    },
    /** Answers everybody whose write is not appended. */
    close: (): void => {
      const detail = "this replica was closed while it was appended"
      refuse(appending, "write_uncertain", new QuorumError.WriteUncertain({ detail }))
      const all = () => true
      const left = [...probing.takeOverdue(all), ...queue.takeOverdue(all)]
      refuse(left, "replica_closing", new QuorumError.ReplicaClosing())
    }
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** The spans in which writes were committed, each once. */
const spansOf = (commits: ReadonlyArray<CommitQueue.Commit>): ReadonlyArray<Tracer.AnySpan> | undefined => {
  if (commits.every(({ span }) => span === undefined)) return undefined
  return Array.from(new Set(commits.flatMap(({ span }) => (span === undefined ? [] : [span]))))
}

/** Writes by what they wait for; most batches are of one policy, and one group as they are. */
const groupsOf = (commits: ReadonlyArray<CommitQueue.Commit>): ReadonlyArray<ReadonlyArray<CommitQueue.Commit>> => {
  const usual = commits[0]!.policy
  if (commits.every(({ policy }) => policy === usual)) return [commits]
  const groups: Array<Array<CommitQueue.Commit>> = []
  for (const commit of commits) {
    const group = groups.find(([first]) => isSame(first!.policy, commit.policy))
    if (group === undefined) groups.push([commit])
    else group.push(commit)
  }
  return groups
}

const isSame = (a: QuorumPolicy.QuorumPolicy, b: QuorumPolicy.QuorumPolicy): boolean =>
  a === b ||
  (a.w === b.w &&
    a.order === b.order &&
    a.unavailable === b.unavailable &&
    Duration.toMillis(a.ackTimeout) === Duration.toMillis(b.ackTimeout))

/**
 * What an entry cannot be made of must not fail the append of its batch (law L70): a buffer that was detached or made
 * shorter since the write was admitted, say. Looked for one by one only where that shows.
 */
const sortOut = (batch: ReadonlyArray<CommitQueue.Commit>) => {
  const odd: Array<readonly [CommitQueue.Commit, QuorumError.WriteRejected]> = []
  if (batch.every(isWhole)) return { odd, sound: batch }
  const sound = batch.filter((commit) => {
    if (isWhole(commit)) return true
    const field = "kind" in commit.write! ? "value" : "writes"
    const detail = "its bytes were changed before the write was appended"
    odd.push([commit, new QuorumError.WriteRejected({ field, reason: "invalid", detail })])
    return false
  })
  return { odd, sound }
}

const isWhole = ({ valueBytes, write }: CommitQueue.Commit): boolean => Entry.valueSize(write!) === valueBytes

/** Appends the writes that wait. */
export type Appender = Effect.Success<ReturnType<typeof make>>
