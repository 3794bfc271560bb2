/**
 * What a caller of a commit gets, and what can be asked about a write later.
 */
import { Schema } from "effect"
import * as ReplicaId from "../identity/ReplicaId.ts"
import * as WriteId from "../identity/WriteId.ts"
import * as Version from "../log/Version.ts"
import * as QuorumError from "../quorum/QuorumError.ts"
import * as QuorumPolicy from "../quorum/QuorumPolicy.ts"

/**
 * How it was learnt that a replica holds a write durably.
 *
 * - `self`: it is this replica's own append
 * - `push`: the replica acked the entries that were pushed to it, or pushed them here, because the log is its own
 * - `vector`: it said so when version vectors were compared
 */
export const How = Schema.Literals(["self", "push", "vector"])

/** How it was learnt that a replica holds a write durably. */
export type How = typeof How.Type

/** A replica that was counted, and when and how it became known that it holds the write durably. */
export const Acked = Schema.Struct({
  replica: ReplicaId.ReplicaId,
  /** Milliseconds after the append of the write began; in a receipt of `resume`, after its replica held it, and 0 when it was known then. */
  afterMillis: Schema.Finite,
  how: How
})

/** A replica that was counted. */
export type Acked = typeof Acked.Type

/** A committed write: W replicas hold it durably. */
export class Receipt extends Schema.Opaque<Receipt>()(
  Schema.Struct({
    writeId: WriteId.WriteId,
    /** Its version: when it was written, as all replicas order it, and what orders it among writes of the same clock. */
    ...Version.Version.fields,
    /** The policy that it was committed by: that of its namespace, with the `w` that was asked for, and the order that it has. */
    policy: QuorumPolicy.QuorumPolicy,
    /** The replicas that were counted, this one first unless its copy is damaged. */
    acked: Schema.Array(Acked),
    /** What was known of the others when the quorum was met. */
    missing: QuorumError.Verdicts,
    /** How long it took, from `commit` or `resume` on; where nothing is waited for before it, from the append on. */
    durationMillis: Schema.Finite
  })
) {}

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

/**
 * What became of a copy of a committed write.
 *
 * - `held`: the replica holds it durably
 * - `superseded`: it holds it durably, and of every key of it a newer write
 * - `compacted`: its entry is gone there, because every member held it, and newer writes of every key of it
 * - `lost`: it was counted, and does not hold it any more
 * - `damaged`: what it holds cannot be read; it is mended from the other copies
 * - `missing`: it was not counted, and does not hold it
 * - `unknown`: it cannot be asked, or does not vote
 */
export const CopyState = Schema.Literals(["held", "superseded", "compacted", "lost", "damaged", "missing", "unknown"])

/** What became of a copy of a committed write. */
export type CopyState = typeof CopyState.Type

/** What the replicas of today say of a receipt. */
export class Verification extends Schema.Opaque<Verification>()(
  Schema.Struct({
    writeId: WriteId.WriteId,
    /** Of every replica of the set. */
    copies: Schema.Record(ReplicaId.ReplicaId, CopyState),
    /** How many hold the write durably: those that are `held` or `superseded`, and those that held it until it was `compacted`. */
    held: Schema.Int,
    /** Whether these are at least the `w` of the receipt. When not, `unknown` copies may be there all the same. */
    committed: Schema.Boolean,
    /**
     * The ids by which the write is held where its own place is that of another one by now: a log forked, and it was
     * committed again, as the same version. Absent where it is where it was.
     */
    movedTo: Schema.optionalKey(Schema.Array(WriteId.WriteId))
  })
) {}

/** One step of a write. */
export type Progress =
  /** It is durable on this replica, and is being pushed. */
  | ({ readonly _tag: "Durable"; readonly writeId: WriteId.WriteId } & Version.Version)
  /** W replicas hold it durably. */
  | { readonly _tag: "Committed"; readonly receipt: Receipt }
  /** Too few acked in time. It may still spread, which the steps after this one show. */
  | { readonly _tag: "NotMet"; readonly error: QuorumError.QuorumNotMet }
  /** One more replica is known to hold it, after the quorum was met or, `late`, after it was not. */
  | {
      readonly _tag: "Held"
      readonly replica: ReplicaId.ReplicaId
      readonly late: boolean
      readonly status: WriteStatus
    }
