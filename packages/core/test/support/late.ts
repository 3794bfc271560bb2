/** What tests ask of a tracker beside what the writer asks. */
import type * as AckTracker from "../../src/quorum/AckTracker.ts"
import type { ReplicaId } from "../../src/index.ts"

/** The peers that hold the write durably and said so too late to count. */
export const lateAckPeerIds = (tracker: AckTracker.AckTracker): ReadonlyArray<ReplicaId.ReplicaId> =>
  tracker.peers.filter(({ verdict }) => verdict?._tag === "late").map(({ id }) => id)
