/**
 * Appends of batches of writes, one at a time: what is appended is handed over to wait for its acks, and what is not is
 * answered.
 */
import { Cause, Duration, Effect, Exit, Option, Result, type Tracer } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import type { CommitOutcome } from "../../events/ReplicaEvents.ts"
import * as Entry from "../../log/Entry.ts"
import type * as EntryBatch from "../../log/EntryBatch.ts"
import { type BelowFloor, StampHorizon } from "../../log/Floor.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import { ReplicaClock } from "../../log/ReplicaClock.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { StoreError } from "../../log/ReplicaStore.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"
import type { CommitError } from "../WriteOptions.ts"
import type * as CommitQueue from "./CommitQueue.ts"
import type * as InFlight from "./InFlight.ts"

/** Nothing is appended yet. */
export const make = Effect.fnUntraced(function* (inFlight: InFlight.InFlight) {
  const logs = yield* ReplicaLogs
  const clock = yield* ReplicaClock
  const horizonMillis = yield* StampHorizon
  const sink = yield* EventSink
  /** Not yet in flight: an append is under way. */
  let appending: ReadonlyArray<CommitQueue.Commit> = []
  /** When that append began. */
  let appendingSince = 0
  /** Set when it is not known whether an append took place. */
  let broken: QuorumError.LocalWriteFailed | undefined

  /** Answers writes with an error. */
  const refuse = (commits: ReadonlyArray<CommitQueue.Commit>, outcome: CommitOutcome, error: CommitError): void => {
    if (commits.length === 0) return
    if (sink.active()) {
      sink.tell({ _tag: "CommitsEnded", outcome, reason: undefined, writes: commits.length, durationMillis: 0 })
    }
    const failed = Exit.fail(error)
    for (const { cancelled, resume } of commits) if (!cancelled) resume(failed)
  }

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
    for (const waiters of groupsOf(commits)) inFlight.watch(batch.log, waiters[0]!.policy, waiters, startedAt, true)
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
      for (const { onNotWritten } of commits) onNotWritten?.()
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
    const startedAt = inFlight.monotonicMillis()
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

  /**
   * Answers writes whose deadline has passed while the store has not answered their append: what became of them is not
   * known. Returns who else has waited for too long by then, and why; nothing while there are no such writes.
   */
  const refuseStalled = () => {
    const at = inFlight.monotonicMillis()
    const isOverdue = ({ monotonicMillis, policy }: CommitQueue.Commit): boolean =>
      at - Math.max(monotonicMillis, appendingSince) > Duration.toMillis(policy.ackTimeout)
    if (!appending.some(isOverdue)) return undefined
    const detail = `its disk has not answered an append for ${Math.floor((at - appendingSince) / 1000)} s`
    const stalled = appending.filter((commit) => !commit.cancelled && isOverdue(commit))
    refuse(stalled, "write_uncertain", new QuorumError.WriteUncertain({ detail }))
    for (const commit of stalled) commit.cancelled = true
    return { detail, isOverdue }
  }

  return {
    append,
    refuse,
    refuseStalled,
    /** Why nothing is appended any more; `undefined` while all is well. */
    broken: () => broken,
    /** How many writes are being appended. */
    size: () => appending.length,
    /** Answers those that are being appended. */
    close: (): void => {
      const detail = "this replica was closed while it was appended"
      refuse(appending, "write_uncertain", new QuorumError.WriteUncertain({ detail }))
      for (const commit of appending) commit.cancelled = true
    }
  }
})

/** Appends of batches of writes. */
export type Appends = Effect.Success<ReturnType<typeof make>>

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
