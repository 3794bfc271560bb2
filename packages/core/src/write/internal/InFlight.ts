/**
 * The writes that wait for their quorum: one tracker per batch and policy, not per write, because an ack covers a whole
 * batch, and one timer for all deadlines.
 */
import { Clock, Effect, Exit, FiberHandle, Result } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import type { CommitOutcome, PeerAnswer } from "../../events/ReplicaEvents.ts"
import * as LateAnswers from "./LateAnswers.ts"
import * as UnmetWrites from "./UnmetWrites.ts"
import * as AckTracker from "../../quorum/AckTracker.ts"
import type * as LogId from "../../identity/LogId.ts"
import * as WriteId from "../../identity/WriteId.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { type Heard, type PeerEvent, Peers } from "../../peer/Peers.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import type { Version } from "../../log/Version.ts"
import type { Watermark } from "../../log/Watermark.ts"
import type { Acked, How, Receipt } from "../Receipt.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"

/** Somebody who waits for the quorum of the write at `seq`. */
export interface Waiter {
  readonly resume: (outcome: Exit.Exit<Receipt, QuorumError.QuorumNotMet>) => void
  seq: number
  /** The check of its id; see `Chain.check`. */
  check: number
  /** When it came, in milliseconds of a monotonic clock; 0 when it did not wait before its append, or its resume. */
  readonly monotonicMillis: number
  /** Its version, as soon as it has one. */
  version: Version | undefined
  /** Set when nobody waits any more. */
  cancelled: boolean
}

/** Writes of one log that share a fate: all are covered by the watermark `seq`. */
interface Group {
  readonly log: LogId.LogId
  /** The greatest sequence among the waiters. */
  readonly seq: number
  readonly policy: QuorumPolicy.QuorumPolicy
  readonly waiters: ReadonlyArray<Waiter>
  /** Whether they wait for a commit. Each write is told of once, and not again when its quorum is waited for anew. */
  readonly isNew: boolean
  /** How acks became known. */
  readonly heard: Map<ReplicaId.ReplicaId, Heard>
  tracker: AckTracker.AckTracker
}

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
  const groups = new Set<Group>()
  const runTimer = yield* FiberHandle.makeRuntime<never>()
  let timerAt = Number.POSITIVE_INFINITY

  const start = (
    log: LogId.LogId,
    policy: QuorumPolicy.QuorumPolicy,
    waiters: ReadonlyArray<Waiter>,
    seq: number,
    startedAt: number,
    isNew: boolean,
    selfLagsBy: number
  ): Group => {
    const tracker = AckTracker.make({ policy, self, peers: peerIds, startedAt })
    const monotonicMillis = now()
    const local = AckTracker.recordLocal(tracker, monotonicMillis)
    const group: Group = { log, seq, policy, waiters, isNew, heard: new Map(), tracker: local }
    for (const { drifted, heard, id: peer, link, rejected, watermarks } of peers.all()) {
      if (drifted.has(log)) record(group, { _tag: "Drift", peer, log, monotonicMillis })
      const rejection = rejected.get(log)
      if (rejection !== undefined) record(group, { _tag: "Rejected", peer, log, ...rejection, monotonicMillis })
      const watermark = watermarks.get(log)
      // A peer that cannot be asked may have been wiped since it said so.
      if (watermark !== undefined && link._tag === "Up") {
        recordAck(group, peer, watermark, heard.get(log)!, monotonicMillis)
      }
      if (link._tag === "Up") lag(group, peer, watermark?.seq ?? 0, monotonicMillis)
      if (link._tag === "Down") record(group, { _tag: "Link", peer, link, monotonicMillis })
    }
    if (selfLagsBy > 0) group.tracker = AckTracker.recordSelfLag(group.tracker, selfLagsBy, monotonicMillis)
    return group
  }

  const settle = (group: Group, at: number): void => {
    const decision = AckTracker.decision(group.tracker, at)
    if (decision._tag === "Pending") return
    groups.delete(group)
    waiting -= group.waiters.length
    for (const { id, verdict } of group.tracker.peers) if (group.isNew && verdict?._tag !== "acked") remember(id, group)
    if (decision._tag === "Met") {
      tell(group, "committed", undefined, at)
      const { acked, durationMillis: sinceAppend, missing, policy } = receiptOf(group, at)
      const { log } = group
      answering(() => {
        for (const { cancelled, check, monotonicMillis, resume, seq, version } of group.waiters) {
          if (cancelled) continue
          const durationMillis = monotonicMillis === 0 ? sinceAppend : millisFrom(monotonicMillis, at)
          const { clock, tie } = version!
          const writeId = WriteId.make(log, seq, check)
          resume(Exit.succeed({ writeId, clock, tie, policy, acked, missing, durationMillis }))
        }
      })
    } else {
      lagging(group, at)
      group.tracker = AckTracker.seal(group.tracker, at)
      if (group.isNew) rememberUnmet(group)
      fail(group, at)
    }
    if (groups.size === 0) onIdle()
  }

  const fail = (group: Group, at: number): void => {
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
  const lagging = (group: Group, at: number): void => {
    for (const { id, link, watermarks } of peers.all()) {
      if (link._tag === "Up") lag(group, id, watermarks.get(group.log)?.seq ?? 0, at)
    }
  }

  const remember = (peer: ReplicaId.ReplicaId, { log, seq, tracker, waiters }: Group): void => {
    const { deadline, startedAt } = tracker
    lateAnswers.remember(peer, { log, seq, writes: waiters.length, startedAt, deadline })
  }

  const rememberUnmet = ({ log, tracker, waiters }: Group): void =>
    unmet.remember(
      log,
      waiters.map((waiter) => waiter.seq),
      AckTracker.ackedPeerIds(tracker)
    )

  const tell = (group: Group, outcome: CommitOutcome, reason: QuorumError.Reason | undefined, at: number): void => {
    if (!group.isNew || !sink.active()) return
    const durationMillis = Math.max(0, at - group.tracker.startedAt)
    sink.tell({ _tag: "CommitsEnded", outcome, reason, writes: group.waiters.length, durationMillis })
  }

  const tellAnswer = (group: Group, peer: ReplicaId.ReplicaId, answer: PeerAnswer, at: number): void => {
    if (!group.isNew || !sink.active()) return
    const afterMillis = Math.max(0, at - group.tracker.startedAt)
    sink.tell({ _tag: "PeerAnswered", peer, answer, writes: group.waiters.length, afterMillis })
  }

  /** Sleeps until the earliest deadline of all groups. */
  const arm = (deadline: number): void => {
    if (deadline >= timerAt) return
    timerAt = deadline
    // A deadline is inclusive, so it has passed one millisecond later.
    runTimer(Effect.andThen(Effect.sleep(Math.max(0, deadline - now()) + 1), Effect.sync(expire)))
  }

  const expire = (): void => {
    timerAt = Number.POSITIVE_INFINITY
    const at = now()
    for (const group of Array.from(groups)) if (group.tracker.deadline < at) settle(group, at)
    let next = Number.POSITIVE_INFINITY
    for (const { tracker } of groups) next = Math.min(next, tracker.deadline)
    if (next < Number.POSITIVE_INFINITY) arm(next)
  }

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
      if (!record(group, event)) continue
      const answer = answerOf(event)
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
      waiters: ReadonlyArray<Waiter>,
      startedAt: number,
      isNew: boolean,
      selfLagsBy = 0
    ): void => {
      const group = start(log, policy, waiters, waiters[waiters.length - 1]!.seq, startedAt, isNew, selfLagsBy)
      if (closed) return fail(group, now())
      groups.add(group)
      waiting += waiters.length
      for (const { at, id, verdict } of group.tracker.peers) {
        const answer = earlyAnswers[verdict?._tag ?? ""]
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
      return { holders: ackedIds(tracker), verdicts }
    },
    giveUp,
    /** Fails everybody who still waits, and whoever comes later, with what is known then. */
    close: (): void => {
      closed = true
      giveUp()
    }
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** The replicas that are counted, this one first. */
const ackedIds = (tracker: AckTracker.AckTracker): ReadonlyArray<ReplicaId.ReplicaId> => {
  const peers = AckTracker.ackedPeerIds(tracker)
  return tracker.selfLagsBy === 0 ? [tracker.self, ...peers] : peers
}

/** What the receipts of a group have in common. */
const receiptOf = (
  { heard, policy, tracker }: Group,
  at: number
): Pick<Receipt, "acked" | "durationMillis" | "missing" | "policy"> => {
  const acked: Array<Acked> = []
  const missing: Record<ReplicaId.ReplicaId, QuorumError.Verdict> = {}
  const count = (replica: ReplicaId.ReplicaId, ackedAt: number, how: How) =>
    acked.push({ replica, afterMillis: elapsed(tracker, ackedAt), how })
  const verdicts = AckTracker.verdicts(tracker, at)
  if (tracker.selfLagsBy === 0) count(tracker.self, tracker.localAt!, "self")
  else missing[tracker.self] = verdicts[tracker.self]!
  for (const { at: ackedAt, id, verdict } of tracker.peers) {
    if (verdict?._tag === "acked") count(id, ackedAt, heard.get(id)!)
    else missing[id] = verdicts[id]!
  }
  return { acked, missing, durationMillis: elapsed(tracker, at), policy: QuorumPolicy.effective(policy) }
}

/** Milliseconds since the wait began, to the microsecond. */
const elapsed = ({ startedAt }: AckTracker.AckTracker, at: number): number => millisFrom(startedAt, at)

const millisFrom = (start: number, at: number): number => Math.max(0, Math.round((at - start) * 1000) / 1000)

const recordAck = (group: Group, peer: ReplicaId.ReplicaId, { log, seq }: Watermark, how: Heard, at: number): void => {
  if (log !== group.log || seq < group.seq) return
  const before = group.tracker
  group.tracker = AckTracker.recordPeerAck(before, peer, at)
  if (group.tracker !== before) group.heard.set(peer, how)
}

/** Records in the tracker what an event says about the group. Returns whether anything changed. */
const record = (group: Group, event: PeerEvent): boolean => {
  const before = group.tracker
  switch (event._tag) {
    case "Ack":
      recordAck(group, event.peer, event.watermark, event.how, event.monotonicMillis)
      break
    case "TakenBack":
      group.tracker = AckTracker.takeBack(before, event.peer)
      break
    case "Drift":
      if (event.log === group.log) group.tracker = AckTracker.recordIdDrift(before, event.peer, event.monotonicMillis)
      break
    case "Replaced":
      // Who acks these places from now on acks other entries (law L52).
      if (event.log === group.log && event.after < group.seq)
        group.tracker = AckTracker.recordIdDrift(before, event.peer, event.monotonicMillis)
      break
    case "Rejected":
      if (event.log === group.log && event.seq <= group.seq) {
        const verdict = { _tag: "rejected", detail: event.detail } as const
        group.tracker = AckTracker.recordFailure(before, event.peer, verdict, event.monotonicMillis)
      }
      break
    case "Link":
      if (event.link._tag === "Down") {
        group.tracker = AckTracker.recordFailure(
          before,
          event.peer,
          nonDefinitive(event.link.verdict),
          event.monotonicMillis
        )
      }
      break
  }
  return group.tracker !== before
}

const lag = (group: Group, peer: ReplicaId.ReplicaId, held: number, at: number): void => {
  if (held >= group.seq) return
  const verdict = { _tag: "lagging", by: group.seq - held } as const
  group.tracker = AckTracker.recordFailure(group.tracker, peer, verdict, at)
}

/** What a peer's verdict is to listeners when it is known before anybody waits. */
const earlyAnswers: Readonly<Record<string, PeerAnswer>> = { acked: "ack", drifted: "id_drift", rejected: "rejected" }

/** What an event that concerns a group is to listeners; a connection that comes up is no answer. */
const answerOf = (event: PeerEvent): PeerAnswer | undefined => {
  switch (event._tag) {
    case "Ack":
      return "ack"
    case "TakenBack":
      return undefined
    case "Drift":
    case "Replaced":
      return "id_drift"
    case "Rejected":
      return "rejected"
    case "Link":
      return event.link._tag === "Down" ? "failed" : undefined
  }
}

/** A broken connection says nothing final about a write, whatever broke it. */
const nonDefinitive = (verdict: QuorumError.Verdict): AckTracker.Failure => {
  switch (verdict._tag) {
    case "refused":
    case "timed_out":
      return verdict
    default:
      return { _tag: "refused" }
  }
}

/** The writes that wait for their quorum. */
export type InFlight = Effect.Success<ReturnType<typeof make>>
