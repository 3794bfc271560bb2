/**
 * What listeners are told of writes that were refused.
 */
import type { CommitOutcome } from "../../events/ReplicaEvents.ts"
import type { CommitError } from "../WriteOptions.ts"

/** The outcome that an error is. */
export const of = (error: CommitError): CommitOutcome => outcomeOf[error._tag]

// ---------------------------------------------------------------------------------------------------------------------

const outcomeOf: Record<CommitError["_tag"], CommitOutcome> = {
  DiskLow: "disk_low",
  IdempotencyKeyReused: "write_rejected",
  IdempotencyUnknown: "quorum_unavailable",
  InvalidPolicy: "invalid_policy",
  LocalWriteFailed: "local_write_failed",
  NotReady: "not_ready",
  Overloaded: "overloaded",
  QuorumNotMet: "quorum_not_met",
  QuorumUnavailable: "quorum_unavailable",
  ReplicaClosing: "replica_closing",
  StampReused: "write_rejected",
  TooOldToKnow: "write_rejected",
  WriteCompacted: "write_rejected",
  WriteRejected: "write_rejected",
  WriteUncertain: "write_uncertain"
}
