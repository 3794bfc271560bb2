/**
 * The decision of one quorum write, as a value: who has acked by when, and is that enough?
 *
 * A tracker is immutable and knows no clock: every time is given by the caller, in milliseconds of one clock. Record
 * what happens; ask `decision` as often as you like. The same reference comes back when an event changed nothing, so
 * `next === tracker` says that there is nothing new to decide.
 *
 * **What counts.** The local commit, and the acks of distinct peers that arrived by the deadline
 * (`at <= startedAt + ackTimeout`), whenever they are processed. Strangers, self and repeats change nothing. An ack
 * after the deadline is kept as late and never counts. Per peer, the first conclusive answer (ack, drift, rejection)
 * stands; a refused connection, a silence or a lag is not conclusive, and an ack in time after it counts. Of several
 * acks of one peer the earliest counts, in whatever order they are processed.
 *
 * **When it is final.** Met stays met, also when an ack is taken back afterwards. Failed stays failed:
 *
 * - A failure by definitive answers (more peers rejected or drifted than W can spare) is recorded in the value at once,
 *   with its reason, and no later event reverts it; acks processed after it are late.
 * - A failure by time is an answer to a question with a `now`. An ack stamped by the deadline may still be waiting to
 *   be processed, and the tracker cannot know whether somebody has acted on the answer. So whoever acts on `Failed`
 *   keeps `seal(tracker, now)` in place of the tracker: that records the failure in the value as above.
 *
 * The decision is thus a pure function of the recorded events and of `now`, and the shell around it has one duty.
 *
 * Compare the Pending, Lost or Won of etcd's `quorum/majority.go`, and riak's `riak_kv_put_core` for late answers that
 * are still recorded.
 */
import * as Duration from "effect/Duration"
import { dual } from "effect/Function"
import * as Result from "effect/Result"
import { LocalWriteFailed } from "./QuorumError.ts"
import type { Reason, Verdict, Verdicts } from "./QuorumError.ts"
import type { QuorumPolicy } from "./QuorumPolicy.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * What a tracker holds of one peer: its last answer that changed anything, and the time of that answer.
 */
export interface TrackedPeer {
  readonly id: ReplicaId
  /** `undefined` until something was recorded of the peer. */
  readonly verdict: Verdict | undefined
  readonly at: number
  /** It is there and slow, for all that is known: lagging, or silent for too long, and not refused since. */
  readonly isConnected: boolean
}

/**
 * The state of one quorum write. Read it with the functions of this module.
 */
export interface AckTracker {
  readonly policy: QuorumPolicy
  readonly self: ReplicaId
  readonly startedAt: number
  /** `startedAt + ackTimeout`; an ack at exactly this time is in time. */
  readonly deadline: number
  /** How many entries of the log, the write the last of them, cannot be said to be held locally; 0 unless damaged. */
  readonly selfLagsBy: number
  /** When the local commit was durable, `undefined` until then. */
  readonly localAt: number | undefined
  /** The members other than self, each once, in the order given. */
  readonly peers: ReadonlyArray<TrackedPeer>
  /** The reason of a failure that nothing can revert any more. */
  readonly failed: Reason | undefined
}

/**
 * The outcome so far. `got` counts the replicas known in time to hold the write, the local one included, and never
 * exceeds N. `Failed` carries what a `QuorumNotMet` says.
 */
export type Decision =
  | { readonly _tag: "Pending" }
  | { readonly _tag: "Met"; readonly got: number }
  | {
      readonly _tag: "Failed"
      readonly got: number
      readonly needed: number
      readonly reason: Reason
      readonly verdicts: Verdicts
    }

/**
 * What can be reported of a peer that has not acked. Acks have a function of their own, because only a decoded answer
 * that echoes the write is one.
 */
export type Failure = Exclude<Verdict, { readonly _tag: "acked" | "late" }>

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * Starts tracking a write at `startedAt`, the time of the local append.
 *
 * Self and repeats among `peers` are dropped. Whether `policy.n` fits the replica set is checked where a writer is
 * built, not here; with too few peers for W the tracker has failed from the start, and with too many `got` still never
 * exceeds N.
 */
export const make = (options: {
  readonly policy: QuorumPolicy
  readonly self: ReplicaId
  readonly peers: ReadonlyArray<ReplicaId>
  readonly startedAt: number
}): AckTracker => {
  const { peers, policy, self, startedAt } = options
  const distinct = peers.filter((id, index) => id !== self && peers.indexOf(id) === index)
  const tracker: AckTracker = {
    policy,
    self,
    startedAt,
    deadline: startedAt + Duration.toMillis(policy.ackTimeout),
    selfLagsBy: 0,
    localAt: undefined,
    peers: distinct.map((id) => ({ id, verdict: undefined, at: startedAt, isConnected: false })),
    failed: undefined
  }
  return failIfImpossible(tracker, startedAt)
}

// -----------------------------------------------------------------------------
// recording
// -----------------------------------------------------------------------------

/**
 * Records that the local commit is durable. Its time is not judged: the deadline is for peers, and `startedAt` is
 * taken at the local append. A tracker that was sealed as failed only for want of the local commit stays failed, and
 * comes back unchanged.
 */
export const recordLocal: {
  (at: number): (self: AckTracker) => AckTracker
  (self: AckTracker, at: number): AckTracker
} = dual(2, (self: AckTracker, at: number): AckTracker => {
  if (self.localAt !== undefined) return self
  if (self.failed !== undefined && ownOf(self) + count(self, "acked") >= self.policy.w) return self
  return { ...self, localAt: at }
})

/**
 * Records that the local replica cannot say that it holds the write, nor `by - 1` entries before it: its copy of the log
 * is damaged. It counts for nothing then, and the quorum has to come of the peers. To be recorded before anything is
 * decided.
 */
export const recordSelfLag: {
  (by: number, at: number): (self: AckTracker) => AckTracker
  (self: AckTracker, by: number, at: number): AckTracker
} = dual(3, (self: AckTracker, by: number, at: number): AckTracker => failIfImpossible({ ...self, selfLagsBy: by }, at))

/**
 * Records that `peer` holds the write durably, as it said at `at`. Duty of the caller: nothing but a decoded answer
 * that echoes log, sequence, chain checksum and the id of the replica is an ack.
 */
export const recordPeerAck: {
  (peer: ReplicaId, at: number): (self: AckTracker) => AckTracker
  (self: AckTracker, peer: ReplicaId, at: number): AckTracker
} = dual(3, (self: AckTracker, peer: ReplicaId, at: number): AckTracker => {
  const before = self.peers.find((state) => state.id === peer)
  if (before === undefined || isSettled(before.verdict)) return self
  const verdict = self.failed === undefined && at <= self.deadline ? acked : late
  return isLate(before.verdict) && verdict === late ? self : withPeer(self, { ...before, verdict, at })
})

/**
 * Takes back what `peer` acked: its store is gone, or it lacks some of what it acknowledged (law L57). It may ack again.
 * Met stays met, and a failure that is final stays final.
 */
export const takeBack: {
  (peer: ReplicaId): (self: AckTracker) => AckTracker
  (self: AckTracker, peer: ReplicaId): AckTracker
} = dual(2, (self: AckTracker, peer: ReplicaId): AckTracker => {
  const before = self.peers.find((state) => state.id === peer)
  if (before?.verdict?._tag !== "acked" || self.failed !== undefined || isMet(self)) return self
  return withPeer(self, { ...before, verdict: undefined })
})

/**
 * Records that `peer` holds a different entry at the same place. Never counts; definitive until an operator acts.
 */
export const recordIdDrift: {
  (peer: ReplicaId, at: number): (self: AckTracker) => AckTracker
  (self: AckTracker, peer: ReplicaId, at: number): AckTracker
} = dual(3, (self: AckTracker, peer: ReplicaId, at: number): AckTracker => recordFailure(self, peer, drifted, at))

/**
 * Records what happened to `peer` instead of an ack. `rejected` and `drifted` are definitive: a later ack of the same
 * peer does not count, and when they make W impossible the tracker has failed at once. The others may be followed by
 * an ack or by another report; the last report stands. After an ack nothing changes.
 */
export const recordFailure: {
  (peer: ReplicaId, verdict: Failure, at: number): (self: AckTracker) => AckTracker
  (self: AckTracker, peer: ReplicaId, verdict: Failure, at: number): AckTracker
} = dual(4, (self: AckTracker, peer: ReplicaId, verdict: Failure, at: number): AckTracker => {
  const before = self.peers.find((state) => state.id === peer)
  if (before === undefined || isSettled(before.verdict) || isLate(before.verdict)) return self
  if (before.verdict !== undefined && isSame(before.verdict, verdict)) return self
  const hangs = verdict._tag === "lagging" || verdict._tag === "timed_out"
  const isConnected = hangs || (verdict._tag !== "refused" && before.isConnected)
  return failIfImpossible(withPeer(self, { id: peer, verdict, at, isConnected }), at)
})

/**
 * Makes a failure final. Whoever acts on `Failed` keeps the sealed tracker, so that an ack stamped by the deadline and
 * processed later becomes late and cannot turn the answer around. Returns the same reference unless
 * `decision(tracker, now)` is a failure by time that is not sealed yet.
 */
export const seal: {
  (now: number): (self: AckTracker) => AckTracker
  (self: AckTracker, now: number): AckTracker
} = dual(2, (self: AckTracker, now: number): AckTracker =>
  self.failed !== undefined || isMet(self) || now <= self.deadline ? self : { ...self, failed: reasonOf(self, now) }
)

// -----------------------------------------------------------------------------
// deciding
// -----------------------------------------------------------------------------

/**
 * The outcome as of `now`. `Pending` only until the deadline, and only while W is still possible; W = 1 is met by the
 * local commit alone. Without the local commit nothing is met, and after the deadline that is `Failed` too.
 *
 * The reason of a failure: `id_drift` when the peers that drifted would have made the difference, otherwise
 * `unreachable` when no peer acked in time and none hung, connected or timed out, otherwise `timeout`.
 */
export const decision: {
  (now: number): (self: AckTracker) => Decision
  (self: AckTracker, now: number): Decision
} = dual(2, (self: AckTracker, now: number): Decision => {
  if (isMet(self)) return { _tag: "Met", got: gotOf(self) }
  if (self.failed === undefined && now <= self.deadline) return pending
  return {
    _tag: "Failed",
    got: gotOf(self),
    needed: self.policy.w,
    reason: self.failed ?? reasonOf(self, now),
    verdicts: verdicts(self, now)
  }
})

/** A quorum that was not met, as far as a tracker knows: what a `QuorumNotMet` says beside the id of a write. */
export interface Unmet {
  readonly _tag: "Unmet"
  readonly got: number
  readonly needed: number
  readonly reason: Reason
  readonly verdicts: Verdicts
}

/**
 * Ends the write as of `now`: the count of distinct acks, the local one included, or why not. Fails with
 * `LocalWriteFailed` without the local commit, and with {@link Unmet} otherwise; its reason is `in_flight` while the
 * decision is `Pending`. Who answers a caller with the failure keeps `seal(tracker, now)`.
 */
export const finalise: {
  (now: number): (self: AckTracker) => Result.Result<number, Unmet | LocalWriteFailed>
  (self: AckTracker, now: number): Result.Result<number, Unmet | LocalWriteFailed>
} = dual(2, (self: AckTracker, now: number): Result.Result<number, Unmet | LocalWriteFailed> => {
  if (self.localAt === undefined) {
    return Result.fail(new LocalWriteFailed({ detail: "local commit not recorded before finalise" }))
  }
  const outcome = decision(self, now)
  if (outcome._tag === "Met") return Result.succeed(outcome.got)
  const reason = outcome._tag === "Pending" ? "in_flight" : outcome.reason
  return Result.fail({
    _tag: "Unmet",
    got: gotOf(self),
    needed: self.policy.w,
    reason,
    verdicts: verdicts(self, now)
  })
})

// -----------------------------------------------------------------------------
// reading
// -----------------------------------------------------------------------------

/** The peers whose acks count. Self is not among them. */
export const ackedPeerIds = (self: AckTracker): ReadonlyArray<ReplicaId> =>
  self.peers.filter((peer) => peer.verdict?._tag === "acked").map((peer) => peer.id)

/**
 * One verdict per replica as of `now`, self first. Self is `acked` with the local commit, `not_tried` without, and
 * `lagging` when its copy is damaged. A
 * peer of which nothing was recorded is `timed_out` after the deadline and `not_tried` until then; record `not_tried`
 * for a peer to which nothing was sent, and it stays that.
 */
export const verdicts: {
  (now: number): (self: AckTracker) => Verdicts
  (self: AckTracker, now: number): Verdicts
} = dual(2, (self: AckTracker, now: number): Verdicts => {
  const silent = now <= self.deadline ? notTried : timedOut
  const out: Record<ReplicaId, Verdict> = { [self.self]: ownVerdict(self) }
  for (const peer of self.peers) out[peer.id] = peer.verdict ?? silent
  return out
})

// -----------------------------------------------------------------------------
// internals
// -----------------------------------------------------------------------------

const acked: Verdict = { _tag: "acked" }
const late: Verdict = { _tag: "late" }
const drifted: Failure = { _tag: "drifted" }
const timedOut: Verdict = { _tag: "timed_out" }
const notTried: Verdict = { _tag: "not_tried" }
const pending: Decision = { _tag: "Pending" }

const count = (self: AckTracker, tag: Verdict["_tag"]): number => {
  let total = 0
  for (const peer of self.peers) if (peer.verdict?._tag === tag) total++
  return total
}

/** What the local replica counts for, once it has committed. */
const ownOf = (self: AckTracker): number => (self.selfLagsBy === 0 ? 1 : 0)

const ownVerdict = ({ localAt, selfLagsBy }: AckTracker): Verdict => {
  if (localAt === undefined) return notTried
  return selfLagsBy === 0 ? acked : { _tag: "lagging", by: selfLagsBy }
}

const gotOf = (self: AckTracker): number =>
  Math.min(self.policy.n, count(self, "acked") + (self.localAt === undefined ? 0 : ownOf(self)))

const isMet = (self: AckTracker): boolean =>
  self.failed === undefined && self.localAt !== undefined && ownOf(self) + count(self, "acked") >= self.policy.w

/** Definitive: nothing recorded of the peer later changes it. */
const isSettled = (verdict: Verdict | undefined): boolean =>
  verdict !== undefined && (verdict._tag === "acked" || verdict._tag === "rejected" || verdict._tag === "drifted")

const isLate = (verdict: Verdict | undefined): boolean => verdict?._tag === "late"

const isSame = (a: Verdict, b: Verdict): boolean =>
  a._tag === b._tag &&
  (a._tag !== "lagging" || b._tag !== "lagging" || a.by === b.by) &&
  (a._tag !== "refused" || b._tag !== "refused" || a.detail === b.detail)

const withPeer = (self: AckTracker, state: TrackedPeer): AckTracker => ({
  ...self,
  peers: self.peers.map((peer) => (peer.id === state.id ? state : peer))
})

/** Fails for good, with the reason as of `at`, once the peers that can still ack are too few for W. */
const failIfImpossible = (self: AckTracker, at: number): AckTracker => {
  if (self.failed !== undefined) return self
  const possible = ownOf(self) + self.peers.length - count(self, "drifted") - count(self, "rejected")
  return possible >= self.policy.w ? self : { ...self, failed: reasonOf(self, at) }
}

/**
 * Why W is not reached as of `now`. Drift made the difference when W would be reached had the drifted peers acked
 * instead; before the deadline the peers still to answer get the benefit of the doubt. Drift after the deadline is no
 * reason, for that peer was too late in any case. The local commit is taken as given: without it the answer is
 * `LocalWriteFailed`.
 */
const reasonOf = (self: AckTracker, now: number): Reason => {
  const counted = ownOf(self) + count(self, "acked")
  let drifts = 0
  let open = 0
  let connected = 0
  for (const { at, isConnected, verdict } of self.peers) {
    if (isConnected) connected++
    if (verdict?._tag === "drifted") drifts += at <= self.deadline ? 1 : 0
    else if (!isSettled(verdict) && !isLate(verdict)) open += now <= self.deadline ? 1 : 0
  }
  if (counted < self.policy.w && counted + open + drifts >= self.policy.w) return "id_drift"
  return count(self, "acked") + connected === 0 ? "unreachable" : "timeout"
}
