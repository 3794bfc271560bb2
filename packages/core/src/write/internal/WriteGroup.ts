/**
 * Writes of one log that share a fate, and wait for it with one tracker: what is heard of their acks, and what they are
 * answered.
 */
import { Exit } from "effect"
import type * as LogId from "../../identity/LogId.ts"
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import * as WriteId from "../../identity/WriteId.ts"
import type { Version } from "../../log/Version.ts"
import type { Watermark } from "../../log/Watermark.ts"
import type { Heard, PeerEvent, Peers } from "../../peer/Peers.ts"
import * as AckTracker from "../../quorum/AckTracker.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"
import type { Acked, How, Receipt } from "../Receipt.ts"

/** Somebody who waits for the quorum of the write at `seq`. */
export interface Waiter {
  readonly resume: (outcome: Exit.Exit<Receipt, QuorumError.QuorumNotMet>) => void
  seq: number
  /** The check of its id; see `Chain.check`. */
  check: number
  /** When it came, in milliseconds of a monotonic clock; 0 when it did not wait before its append. */
  readonly monotonicMillis: number
  /** Its version, as soon as it has one. */
  version: Version | undefined
  /** Set when nobody waits any more. */
  cancelled: boolean
}

/** Writes of one log that share a fate: all are covered by the watermark `seq`. */
export interface WriteGroup {
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

/** How groups begin: with what is known of the peers by then. The local commit is done. */
export const starting =
  ({
    monotonicMillis: read,
    peerIds,
    peers,
    self
  }: {
    readonly self: ReplicaId.ReplicaId
    readonly peerIds: ReadonlyArray<ReplicaId.ReplicaId>
    readonly peers: Peers["Service"]
    readonly monotonicMillis: () => number
  }) =>
  (
    log: LogId.LogId,
    policy: QuorumPolicy.QuorumPolicy,
    waiters: ReadonlyArray<Waiter>,
    seq: number,
    startedAt: number,
    isNew: boolean,
    selfLagsBy: number
  ): WriteGroup => {
    const tracker = AckTracker.make({ policy, self, peers: peerIds, startedAt })
    const monotonicMillis = read()
    const local = AckTracker.recordLocal(tracker, monotonicMillis)
    const group: WriteGroup = { log, seq, policy, waiters, isNew, heard: new Map(), tracker: local }
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

/** The replicas that are counted, this one first. */
export const ackedIds = (tracker: AckTracker.AckTracker): ReadonlyArray<ReplicaId.ReplicaId> => {
  const peers = AckTracker.ackedPeerIds(tracker)
  return tracker.selfLagsBy === 0 ? [tracker.self, ...peers] : peers
}

/** Answers who waits with receipts. */
export const succeed = (group: WriteGroup, at: number): void => {
  const { acked, durationMillis: sinceAppend, missing, policy } = receiptOf(group, at)
  const { log } = group
  for (const { cancelled, check, monotonicMillis, resume, seq, version } of group.waiters) {
    if (cancelled) continue
    const durationMillis = monotonicMillis === 0 ? sinceAppend : millisFrom(monotonicMillis, at)
    const { clock, tie } = version!
    const writeId = WriteId.make(log, seq, check)
    resume(Exit.succeed({ writeId, clock, tie, policy, acked, missing, durationMillis }))
  }
}

/** Answers who waits with what is known of a quorum that was not met. */
export const fail = (group: WriteGroup, { got, needed, reason, verdicts }: AckTracker.Unmet): void => {
  for (const { cancelled, check, resume, seq } of group.waiters) {
    if (cancelled) continue
    const writeId = WriteId.make(group.log, seq, check)
    resume(Exit.fail(new QuorumError.QuorumNotMet({ got, needed, reason, writeId, verdicts })))
  }
}

/** What the receipts of a group have in common. */
const receiptOf = (
  { heard, policy, tracker }: WriteGroup,
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

const recordAck = (
  group: WriteGroup,
  peer: ReplicaId.ReplicaId,
  { log, seq }: Watermark,
  how: Heard,
  at: number
): void => {
  if (log !== group.log || seq < group.seq) return
  const before = group.tracker
  group.tracker = AckTracker.recordPeerAck(before, peer, at)
  if (group.tracker !== before) group.heard.set(peer, how)
}

/** Records in the tracker what an event says about the group. Returns whether anything changed. */
export const record = (group: WriteGroup, event: PeerEvent): boolean => {
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

/** Peers that are connected and silent about the writes are lagging, and by how much shows when they are answered. */
export const lagAll = (group: WriteGroup, peers: Peers["Service"], at: number): void => {
  for (const { id, link, watermarks } of peers.all()) {
    if (link._tag === "Up") lag(group, id, watermarks.get(group.log)?.seq ?? 0, at)
  }
}

/** A peer is connected, and holds the log this far. */
const lag = (group: WriteGroup, peer: ReplicaId.ReplicaId, held: number, at: number): void => {
  if (held >= group.seq) return
  const verdict = { _tag: "lagging", by: group.seq - held } as const
  group.tracker = AckTracker.recordFailure(group.tracker, peer, verdict, at)
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
