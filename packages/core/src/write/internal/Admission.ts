/**
 * Admission: what is decided about a write before anything is done with it. Pure.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { LogId } from "../../identity/LogId.ts"
import * as Entry from "../../log/Entry.ts"
import * as Limits from "../../log/Limits.ts"
import type { PeerState } from "../../peer/Peers.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import * as CallerKey from "../../record/CallerKey.ts"
import * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"
import type { WriteOptions } from "../WriteOptions.ts"

/** The most writes that wait for an append or for acks before further ones are refused. */
export const maxWaitingWrites = 65_536

/** The most bytes of values that wait for an append; once appended, the log has them. */
export const maxPendingBytes = 64 * 1024 * 1024

/** What a replica is like when a write comes. Read field by field, and no more of it than a write needs. */
export interface Situation {
  readonly self: ReplicaId
  /** The log that this replica writes. */
  readonly own: LogId
  readonly limits: Limits.Limits
  readonly closing: boolean
  /** Set when this replica does not know where its log ends. */
  readonly broken: QuorumError.LocalWriteFailed | undefined
  /** Set while puts are refused, because there is nearly no room left. */
  readonly low: QuorumError.DiskLow | undefined
  /** Writes that wait for an append or for acks. */
  readonly waiting: number
  /** Bytes of values that wait for an append. */
  readonly pendingBytes: number
  /** Whether this replica votes. */
  readonly voting: boolean
  readonly peers: ReadonlyArray<PeerState>
  readonly monotonicMillis: number
}

/** Why a write was not admitted. Nothing was written. */
export type Refusal =
  | QuorumError.ReplicaClosing
  | QuorumError.LocalWriteFailed
  | QuorumError.WriteRejected
  | QuorumError.Overloaded
  | QuorumError.DiskLow
  | QuorumError.InvalidPolicy
  | QuorumError.QuorumUnavailable

/** A write, or several in one entry, that may be appended, and the policy that it waits by. */
export interface Admitted {
  readonly write: Entry.Writes
  /** Bytes of its values. */
  readonly valueBytes: number
  readonly policy: QuorumPolicy.QuorumPolicy
}

/**
 * Admits a write, as a plain value whose fields have been read once and are what they should be; or says why not. What
 * a caller passes may be anything at all: whatever is wrong with it must show here, where it harms nobody (law L70).
 */
export const admit = (
  write: unknown,
  options: WriteOptions | undefined,
  policyOf: (
    write: Entry.Writes,
    options: WriteOptions | undefined
  ) => Result.Result<QuorumPolicy.QuorumPolicy, QuorumError.InvalidPolicy>,
  situation: Situation
): Admitted | Refusal => {
  if (situation.closing) return new QuorumError.ReplicaClosing()
  if (situation.broken !== undefined) return situation.broken
  const sound = Limits.soundWrites(write, situation.limits)
  if (sound instanceof QuorumError.WriteRejected) return sound
  const { low, pendingBytes, waiting } = situation
  if (low !== undefined && !isDelete(sound)) return low
  const valueBytes = Entry.valueSize(sound)
  if (waiting >= maxWaitingWrites || pendingBytes + valueBytes > maxPendingBytes) {
    return new QuorumError.Overloaded({ detail: `${waiting} writes wait already` })
  }
  const policy = policyOf(sound, options)
  if (Result.isFailure(policy)) return policy.failure
  const refusal = unavailable(policy.success, situation)
  if (refusal === undefined) return { write: sound, valueBytes, policy: policy.success }
  const accepting = QuorumPolicy.accepting(policy.success)
  return accepting === undefined ? refusal : { write: sound, valueBytes, policy: accepting }
}

/** Whether it was decided that a write may be appended. */
export const isAdmitted = (decided: Admitted | Refusal): decided is Admitted => "policy" in decided

/**
 * Known before writing that too few are alive: down, or without a vote, for longer than a write would wait, drifted, or
 * rejecting.
 */
export const unavailable = (
  policy: QuorumPolicy.QuorumPolicy,
  situation: Pick<Situation, "monotonicMillis" | "own" | "peers" | "self" | "voting">
): QuorumError.QuorumUnavailable | undefined => {
  if (policy.w === 1) return undefined
  const { own, peers } = situation
  let alive = 1
  for (const peer of peers) {
    const { drifted, rejected } = peer
    // Nearly always there is none, and then nobody looks one up.
    const isRefused = (drifted.size > 0 && drifted.has(own)) || (rejected.size > 0 && rejected.has(own))
    if (!isRefused && !isGone(peer, policy, situation)) alive++
  }
  if (alive >= policy.w) return undefined
  const verdicts: Record<ReplicaId, QuorumError.Verdict> = { [situation.self]: { _tag: "not_tried" } }
  for (const { drifted, id, link, voting } of peers) {
    if (drifted.has(own)) verdicts[id] = { _tag: "drifted" }
    else if (link._tag === "Down") verdicts[id] = link.verdict
    else verdicts[id] = voting ? { _tag: "not_tried" } : { _tag: "refused", detail: "it does not vote" }
  }
  return new QuorumError.QuorumUnavailable({ alive, needed: policy.w, reason: "unreachable", verdicts })
}

// ---------------------------------------------------------------------------------------------------------------------

/** Whether nothing is put, but the mark by which a delete is found again. */
const isDelete = (write: Entry.Writes): boolean => {
  const writes = Entry.listOf(write)
  return (
    writes.some(({ kind }) => kind === "delete") &&
    writes.every(({ kind, namespace }) => kind === "delete" || CallerKey.markedBy(namespace) !== undefined)
  )
}

/**
 * Whether a peer has been down, or said that it does not vote, for longer than a write would wait. While all are up and
 * vote, nobody asks for the time. Where this replica does not vote itself, its writes wait until it does, and its peers
 * may vote by then too.
 */
const isGone = (
  { link, notVotingSinceMillis }: PeerState,
  { ackTimeout }: QuorumPolicy.QuorumPolicy,
  situation: Pick<Situation, "monotonicMillis" | "voting">
): boolean => {
  const isLongAgo = (since: number): boolean => since < situation.monotonicMillis - Duration.toMillis(ackTimeout)
  if (link._tag === "Down" && isLongAgo(link.sinceMonotonicMillis)) return true
  return notVotingSinceMillis !== undefined && isLongAgo(notVotingSinceMillis) && situation.voting
}
