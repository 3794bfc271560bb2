/**
 * What a caller of a commit gets, and what can be asked about a write later.
 */
import { Schema } from "effect"
import * as WriteId from "../identity/WriteId.ts"
import * as QuorumError from "./QuorumError.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"

/** A committed write: W replicas hold it durably. */
export const Receipt = Schema.Struct({
  writeId: WriteId.WriteId,
  /** The replicas that were counted, this one first unless its copy is damaged. */
  acked: Schema.Array(ReplicaId.ReplicaId),
  /** How many were needed, of how many. */
  w: Schema.Int,
  n: Schema.Int
})

/** A committed write. */
export type Receipt = typeof Receipt.Type

/** What is known now about a write that this replica holds. */
export const WriteStatus = Schema.Struct({
  writeId: WriteId.WriteId,
  /** Whether the holders are at least `w` of the writer's policy. */
  committed: Schema.Boolean,
  /**
   * The replicas known to hold the write durably, this one included unless its copy is damaged. Of those whose verdict
   * is `late` that became known when the write had missed its quorum already.
   */
  holders: Schema.Array(ReplicaId.ReplicaId),
  w: Schema.Int,
  n: Schema.Int,
  verdicts: QuorumError.Verdicts
})

/** What is known now about a write. */
export type WriteStatus = typeof WriteStatus.Type
