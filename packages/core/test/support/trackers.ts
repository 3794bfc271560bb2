/** What tests ask of a tracker beside what the writer asks. */
import * as AckTracker from "../../src/quorum/AckTracker.ts"
import type { ReplicaId } from "../../src/index.ts"

/** The peers that hold the write durably and said so too late to count. */
export const lateAckPeerIds = (tracker: AckTracker.AckTracker): ReadonlyArray<ReplicaId.ReplicaId> =>
  tracker.peers.filter(({ verdict }) => verdict?._tag === "late").map(({ id }) => id)

/** Whether the quorum is met: the local commit, and acks in time of W - 1 distinct peers. */
export const isQuorumMet = (tracker: AckTracker.AckTracker, now: number): boolean =>
  AckTracker.decision(tracker, now)._tag === "Met"

/** How many peers have drifted for this write, in time or not. */
export const idDriftCount = (tracker: AckTracker.AckTracker): number =>
  tracker.peers.filter(({ verdict }) => verdict?._tag === "drifted").length
