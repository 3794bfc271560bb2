/**
 * The writes that wait for their quorum: one tracker per batch and policy, not per write, because an ack covers a whole
 * batch, and one timer for all deadlines.
 */
import { Clock, Effect, Exit, Result } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import type { CommitOutcome, PeerAnswer } from "../../events/ReplicaEvents.ts"
import * as Deadlines from "./Deadlines.ts"
import * as LateAnswers from "./LateAnswers.ts"
import * as UnmetWrites from "./UnmetWrites.ts"
import * as WriteGroup from "./WriteGroup.ts"
import * as AckTracker from "../../quorum/AckTracker.ts"
import type * as LogId from "../../identity/LogId.ts"
import * as WriteId from "../../identity/WriteId.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { type PeerEvent, Peers } from "../../peer/Peers.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"

/**
 * Starts without anybody waiting. `onIdle` is called whenever the last group has its answer, and `answering` runs what
 * answers a group.
 */
export const make = Effect.fnUntraced(function* (onIdle: () => void, answering: (answer: () => void) => void) {
  const { peers: peerIds, self } = yield* ReplicaSet
  const peers = yield* Peers
  const clock = yield* Clock.Clock
  const sink = yield* EventSink
  const lateAnswers = LateAnswers.make(sink)
  const unmet = UnmetWrites.make()
  const now = () => Monotonic.millis(clock)
  let waiting = 0
  let closed = false
  const groups = new Set<WriteGroup.WriteGroup>()
  const start = WriteGroup.starting({ self, peerIds, peers, now })

  const settle = (group: WriteGroup.WriteGroup, at: number): void => {
    const decision = AckTracker.decision(group.tracker, at)
    if (decision._tag === "Pending") return
    groups.delete(group)
    waiting -= group.waiters.length
    for (const { id, verdict } of group.tracker.peers) if (group.isNew && verdict?._tag !== "acked") remember(id, group)
    if (decision._tag === "Met") {
      tell(group, "committed", undefined, at)
      answering(() => WriteGroup.succeed(group, at))
    } else {
      lagging(group, at)
      group.tracker = AckTracker.seal(group.tracker, at)
      if (group.isNew) rememberUnmet(group)
      fail(group, at)
    }
    if (groups.size === 0) onIdle()
  }

  const fail = (group: WriteGroup.WriteGroup, at: number): void => {
    const result = AckTracker.finalise(group.tracker, at)
    if (Result.isSuccess(result) || result.failure._tag !== "Unmet") return
    const { got, needed, reason, verdicts } = result.failure
    tell(group, "quorum_not_met", reason, at)
    for (const { cancelled, check, resume, seq } of group.waiters) {
      if (cancelled) continue
      const writeId = WriteId.make(group.log, seq, check)
      resume(Exit.fail(new QuorumError.QuorumNotMet({ got, needed, reason, writeId, verdicts })))
    }
  }

  /** A peer that is connected and silent about the writes is lagging, and by how much shows when they are answered. */
  const lagging = (group: WriteGroup.WriteGroup, at: number): void => {
    for (const { id, link, watermarks } of peers.all()) {
      if (link._tag === "Up") WriteGroup.lag(group, id, watermarks.get(group.log)?.seq ?? 0, at)
    }
  }

  const remember = (peer: ReplicaId.ReplicaId, { log, seq, tracker, waiters }: WriteGroup.WriteGroup): void => {
    const { deadline, startedAt } = tracker
    lateAnswers.remember(peer, { log, seq, writes: waiters.length, startedAt, deadline })
  }

  const rememberUnmet = ({ log, tracker, waiters }: WriteGroup.WriteGroup): void =>
    unmet.remember(
      log,
      waiters.map((waiter) => waiter.seq),
      AckTracker.ackedPeerIds(tracker)
    )

  const tell = (
    group: WriteGroup.WriteGroup,
    outcome: CommitOutcome,
    reason: QuorumError.Reason | undefined,
    at: number
  ): void => {
    if (!group.isNew || !sink.active()) return
    const durationMillis = Math.max(0, at - group.tracker.startedAt)
    sink.tell({ _tag: "CommitsEnded", outcome, reason, writes: group.waiters.length, durationMillis })
  }

  const tellAnswer = (
    group: WriteGroup.WriteGroup,
    peer: ReplicaId.ReplicaId,
    answer: PeerAnswer,
    at: number
  ): void => {
    if (!group.isNew || !sink.active()) return
    const afterMillis = Math.max(0, at - group.tracker.startedAt)
    sink.tell({ _tag: "PeerAnswered", peer, answer, writes: group.waiters.length, afterMillis })
  }

  const { arm } = yield* Deadlines.make(now, (at) => {
    for (const group of Array.from(groups)) if (group.tracker.deadline < at) settle(group, at)
    let next = Number.POSITIVE_INFINITY
    for (const { tracker } of groups) next = Math.min(next, tracker.deadline)
    return next
  })

  /** Fails everybody who still waits, with what is known now. */
  const giveUp = (): void => {
    const left = Array.from(groups)
    groups.clear()
    waiting = 0
    for (const group of left) {
      lagging(group, now())
      fail(group, now())
    }
  }

  const onPeerEvent = (event: PeerEvent): void => {
    lateAnswers.hear(event)
    for (const group of groups) {
      if (!WriteGroup.record(group, event)) continue
      const answer = WriteGroup.answerOf(event)
      if (answer !== undefined) tellAnswer(group, event.peer, answer, event.monotonicMillis)
      settle(group, event.monotonicMillis)
    }
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => peers.listen(onPeerEvent)),
    (stop) => Effect.sync(stop)
  )

  return {
    /** How many groups wait. */
    size: () => groups.size,
    /** How many writes wait. */
    waiting: () => waiting,
    /** The time of `startedAt`. */
    now,
    /**
     * Answers the waiters when W replicas hold all their writes, or at the deadline. The local commit is done; `isNew`
     * says that it was done just now. This replica counts unless its copy lags by some entries, because of damage.
     */
    watch: (
      log: LogId.LogId,
      policy: QuorumPolicy.QuorumPolicy,
      waiters: ReadonlyArray<WriteGroup.Waiter>,
      startedAt: number,
      isNew: boolean,
      selfLagsBy = 0
    ): void => {
      const group = start(log, policy, waiters, waiters[waiters.length - 1]!.seq, startedAt, isNew, selfLagsBy)
      if (closed) return fail(group, now())
      groups.add(group)
      waiting += waiters.length
      for (const { at, id, verdict } of group.tracker.peers) {
        const answer = WriteGroup.earlyAnswers[verdict?._tag ?? ""]
        if (answer !== undefined) tellAnswer(group, id, answer, at)
      }
      settle(group, now())
      if (groups.has(group)) arm(group.tracker.deadline)
    },
    /** Who is known to hold a write, those who acked it late among them, and what is known of each replica. */
    holders: (log: LogId.LogId, seq: number, policy: QuorumPolicy.QuorumPolicy, selfLagsBy: number) => {
      const at = now()
      const { tracker } = start(log, policy, [], seq, at, false, selfLagsBy)
      const verdicts: Record<ReplicaId.ReplicaId, QuorumError.Verdict> = { ...AckTracker.verdicts(tracker, at) }
      for (const peer of AckTracker.ackedPeerIds(tracker)) {
        if (unmet.isLate(log, seq, peer)) verdicts[peer] = { _tag: "late" }
      }
      return { holders: WriteGroup.ackedIds(tracker), verdicts }
    },
    giveUp,
    /** Fails everybody who still waits, and whoever comes later, with what is known then. */
    close: (): void => {
      closed = true
      giveUp()
    }
  }
})

/** The writes that wait for their quorum. */
export type InFlight = Effect.Success<ReturnType<typeof make>>
