/**
 * The writes that wait for their quorum: one tracker per batch and policy, not per write, because an ack covers a whole
 * batch, and one timer for all deadlines.
 */
import { Clock, Effect, Result } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import * as Deadlines from "./Deadlines.ts"
import * as GroupEvents from "./GroupEvents.ts"
import * as UnmetWrites from "./UnmetWrites.ts"
import * as WriteGroup from "./WriteGroup.ts"
import * as AckTracker from "../../quorum/AckTracker.ts"
import type * as LogId from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { type PeerEvent, Peers } from "../../peer/Peers.ts"
import type { Verdict } from "../../quorum/QuorumError.ts"
import type * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"

/**
 * Starts without anybody waiting. `onIdle` is called whenever the last group has its answer, and `answering` runs what
 * answers a group. `ownLag` says how many entries of a log, the one at the sequence the last of them, this replica cannot
 * say to hold: its copy counts where there is none.
 */
export const make = Effect.fnUntraced(function* (
  onIdle: () => void,
  answering: (answer: () => void) => void,
  ownLag: (log: LogId.LogId, seq: number) => number
) {
  const { peers: peerIds, self } = yield* ReplicaSet
  const peers = yield* Peers
  const clock = yield* Clock.Clock
  const events = GroupEvents.make(yield* EventSink)
  const unmet = UnmetWrites.make()
  const monotonicMillis = () => Monotonic.millis(clock)
  let waiting = 0
  let closed = false
  const groups = new Set<WriteGroup.WriteGroup>()
  const start = WriteGroup.starting({ self, peerIds, peers, monotonicMillis })

  const settle = (group: WriteGroup.WriteGroup, at: number): void => {
    const decision = AckTracker.decision(group.tracker, at)
    if (decision._tag === "Pending") return
    groups.delete(group)
    waiting -= group.waiters.length
    events.answered(group)
    if (decision._tag === "Met") {
      events.ended(group, "committed", undefined, at)
      answering(() => WriteGroup.succeed(group, at))
    } else {
      fail(group, at)
    }
    if (groups.size === 0) onIdle()
  }

  /** Says that the quorum was not met, as far as is known: whoever acks from now on is late. */
  const fail = (group: WriteGroup.WriteGroup, at: number): void => {
    WriteGroup.lagAll(group, peers, at)
    group.tracker = AckTracker.seal(group.tracker, at)
    if (group.isNew) rememberUnmet(group)
    const result = AckTracker.finalise(group.tracker, at)
    if (Result.isSuccess(result) || result.failure._tag !== "Unmet") return
    events.ended(group, "quorum_not_met", result.failure.reason, at)
    WriteGroup.fail(group, result.failure)
  }

  const rememberUnmet = ({ log, tracker, waiters }: WriteGroup.WriteGroup): void =>
    unmet.remember(
      log,
      waiters.map((waiter) => waiter.seq),
      AckTracker.ackedPeerIds(tracker)
    )

  const { arm } = yield* Deadlines.make(monotonicMillis, (at) => {
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
      events.answered(group)
      fail(group, monotonicMillis())
    }
    if (left.length > 0) onIdle()
  }

  const onPeerEvent = (event: PeerEvent): void => {
    events.hear(event)
    for (const group of groups) {
      if (!WriteGroup.record(group, event)) continue
      events.heard(group, event)
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
    monotonicMillis,
    /**
     * Answers the waiters when W replicas hold all their writes, or at the deadline. The local commit is done; `isNew`
     * says that it was done just now.
     *
     * Returns how to end it before, for when nobody waits any more for what was not done just now: of a new write the acks
     * are told of all the same.
     */
    watch: (
      log: LogId.LogId,
      policy: QuorumPolicy.QuorumPolicy,
      waiters: ReadonlyArray<WriteGroup.Waiter>,
      startedAt: number,
      isNew: boolean
    ): (() => void) => {
      const { seq } = waiters[waiters.length - 1]!
      const group = start(log, policy, waiters, seq, startedAt, isNew, ownLag(log, seq))
      const leave = (): void => {
        if (!groups.delete(group)) return
        waiting -= waiters.length
        if (groups.size === 0) onIdle()
      }
      groups.add(group)
      waiting += waiters.length
      events.began(group)
      settle(group, monotonicMillis())
      if (closed) giveUp()
      else if (groups.has(group)) arm(group.tracker.deadline)
      return leave
    },
    /** Who is known to hold a write, those who acked it late among them, and what is known of each replica. */
    holders: (log: LogId.LogId, seq: number, policy: QuorumPolicy.QuorumPolicy) => {
      const at = monotonicMillis()
      const { tracker } = start(log, policy, [], seq, at, false, ownLag(log, seq))
      const verdicts: Record<ReplicaId, Verdict> = { ...AckTracker.verdicts(tracker, at) }
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
