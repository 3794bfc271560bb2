/**
 * The typed errors of a quorum write, and the words in which they say what is known.
 *
 * Each error answers the two questions a caller has: is the write anywhere, and may I try again?
 *
 * - `InvalidPolicy`: a configuration mistake. Nothing was attempted.
 * - `WriteRejected`, `Overloaded`, `DiskLow`, `ReplicaClosing`, `NotReady`, `QuorumUnavailable`, `LocalWriteFailed`: nothing was
 *   written anywhere.
 * - `WriteUncertain`: the local append failed, and nobody can know whether it took place.
 * - `QuorumNotMet`: durable on the local replica, not known to be on W replicas. It may still spread; retrying it as
 *   a new write could write it twice, so wait for the same write id again instead.
 *
 * An invalid policy and a failed local write are errors of their own, never a `QuorumNotMet` with 0 of 0 (law L10).
 * All of them encode to JSON and decode by their own schema.
 */
import * as Schema from "effect/Schema"
import { ReplicaId } from "../identity/ReplicaId.ts"
import { WriteId } from "../identity/WriteId.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Why a quorum was not met.
 *
 * - `in_flight`: asked before the deadline while the quorum was still possible. Not a failure yet; ask again.
 * - `unreachable`: no peer acked in time, and none was connected or hung.
 * - `timeout`: too few peers acked in time, though some acked, were connected, or hung: there was no answer in time, which
 *   says less than a connection that is refused.
 * - `id_drift`: the replicas whose log differs from ours would have made the difference. It is settled by itself;
 *   retrying does not help.
 *
 * It sums up the whole replica set for metrics; what happened to each replica is in the verdicts.
 */
export const Reason = Schema.Literals(["unreachable", "timeout", "id_drift", "in_flight"])

/** Why a quorum was not met. */
export type Reason = typeof Reason.Type

/** One of the kinds of verdicts: its tag is `kind` in JSON. */
const verdict = <const Kind extends string, const Fields extends Schema.Struct.Fields>(kind: Kind, fields: Fields) =>
  Schema.TaggedStruct(kind, fields).pipe(Schema.encodeKeys({ _tag: "kind" }))

/**
 * What is known about one replica and one write.
 *
 * - `acked`: holds it durably, said so by the deadline, and was counted.
 * - `late`: holds it durably, said so after the deadline or after the failure was final; never counted.
 * - `lagging`: answered with a watermark `by` entries short of the write.
 * - `refused`: the connection was refused. Not definitive: it may come back and ack in time.
 * - `timed_out`: tried, and silent until the deadline.
 * - `rejected`: decoded the write and said no. Definitive.
 * - `drifted`: holds a different entry at the same place. Definitive for this write: one of the two is committed again
 *   under another log.
 * - `not_tried`: nothing is known to have been tried.
 *
 * `detail` is for people; do not branch on it and do not make it a metric label.
 */
export const Verdict = Schema.Union([
  verdict("acked", {}),
  verdict("late", {}),
  verdict("lagging", { by: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)) }),
  verdict("refused", { detail: Schema.optionalKey(Schema.String) }),
  verdict("timed_out", {}),
  verdict("rejected", { detail: Schema.optionalKey(Schema.String) }),
  verdict("drifted", {}),
  verdict("not_tried", {})
])

/** What is known about one replica and one write. */
export type Verdict = typeof Verdict.Type

/**
 * One verdict per replica, the local one included: the replicas with `acked` are the ones that were counted.
 */
export const Verdicts = Schema.Record(ReplicaId, Verdict)

/** One verdict per replica, the local one included. */
export type Verdicts = typeof Verdicts.Type

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/**
 * The policy itself is wrong, as with `n = 0`, or does not fit the replica set it is used with. Nothing was attempted;
 * `detail` names the field.
 */
export class InvalidPolicy extends Schema.TaggedError<InvalidPolicy>()("InvalidPolicy", {
  detail: Schema.String
}) {
  override get message(): string {
    return `invalid quorum policy: ${this.detail}`
  }
}

/**
 * The local append failed. Nothing was written and nothing was sent anywhere: safe to retry. `cause` is the failure of
 * the store where there is one; it crosses JSON as a name and a message.
 */
export class LocalWriteFailed extends Schema.TaggedError<LocalWriteFailed>()("LocalWriteFailed", {
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `local write failed: ${this.detail}`
  }
}

/**
 * The write is durable here and is not known to be on W replicas. It may still spread, so a second write of the same
 * thing could happen twice: wait for `writeId` again instead. `got` counts the replicas known to hold it in time, the
 * local one included, and never exceeds N; `needed` is W.
 */
export class QuorumNotMet extends Schema.TaggedError<QuorumNotMet>()("QuorumNotMet", {
  got: Count,
  needed: Count,
  reason: Reason,
  writeId: WriteId,
  verdicts: Verdicts
}) {
  override get message(): string {
    return `quorum not met (got ${this.got}, need ${this.needed}, reason ${this.reason})`
  }
}

/** Why too few members are alive. */
export const UnavailableReason = Schema.Literals(["unreachable", "timeout"])

/**
 * Known before writing that too few members are alive, the local one included in `alive`: fewer than W, or, for a write
 * in real-time order, fewer than a majority that said their clocks in time. Nothing was written: safe to retry.
 *
 * - `unreachable`: too few are connected and vote
 * - `timeout`: they are connected, and did not answer in time
 */
export class QuorumUnavailable extends Schema.TaggedError<QuorumUnavailable>()("QuorumUnavailable", {
  alive: Count,
  needed: Count,
  reason: UnavailableReason,
  verdicts: Verdicts
}) {
  override get message(): string {
    return `quorum unavailable (alive ${this.alive}, need ${this.needed}, reason ${this.reason}): nothing was written, safe to retry`
  }
}

/**
 * The write itself has to be mended: `field` names the part of it that is the matter. Nothing was written.
 *
 * - `invalid`: it is not a write, or not one that an entry can hold
 * - `too_large`: it is beyond the limits of this replica set
 */
export class WriteRejected extends Schema.TaggedError<WriteRejected>()("WriteRejected", {
  field: Schema.String,
  detail: Schema.String,
  reason: Schema.Literals(["invalid", "too_large"])
}) {
  override get message(): string {
    return `write rejected (${this.reason}, field ${this.field}): ${this.detail}; nothing was written`
  }
}

/** Too many writes wait already. Nothing was written: try again a little later. */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", { detail: Schema.String }) {
  override get message(): string {
    return `overloaded: ${this.detail}; nothing was written, try again later`
  }
}

/**
 * The store of this replica has nearly no room left, and what there is, is kept for deletes and for what peers bring: a put
 * is refused. Nothing was written. It ends by itself when there is room: delete records, make room on the disk, or use
 * another replica. Bytes.
 */
export class DiskLow extends Schema.TaggedError<DiskLow>()("DiskLow", { leftBytes: Count, reserveBytes: Count }) {
  override get message(): string {
    return (
      `the store of this replica may take ${this.leftBytes} more bytes, and the last ${this.reserveBytes} are kept for ` +
      `deletes and for what peers bring; nothing was written, delete records, make room on its disk, or use another replica`
    )
  }
}

/** This replica is closing. Nothing was written: use another one. */
export class ReplicaClosing extends Schema.TaggedError<ReplicaClosing>()("ReplicaClosing", {}) {
  override get message(): string {
    return "this replica is closing; nothing was written, use another one"
  }
}

/**
 * This replica cannot append now: it has started and may not yet, or its disk does not answer. Nothing was written: use
 * another one, or try again later.
 */
export class NotReady extends Schema.TaggedError<NotReady>()("NotReady", { detail: Schema.String }) {
  override get message(): string {
    return `this replica is not ready: ${this.detail}; nothing was written, use another one or try again later`
  }
}

/**
 * The local append failed in a way that leaves open whether it took place, or the disk has not answered it in time. There
 * is no write id, because the place may become another write's. It may still appear.
 */
export class WriteUncertain extends Schema.TaggedError<WriteUncertain>()("WriteUncertain", {
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `it is not known whether the write took place: ${this.detail}`
  }
}

/**
 * The stamp is that of a write which differs from this one, and which is held here. Nothing was written: a stamp is for
 * one write, repeat that one or take another stamp.
 */
export class StampReused extends Schema.TaggedError<StampReused>()("StampReused", {
  /** The write that has the stamp. */
  held: WriteId
}) {
  override get message(): string {
    return `the stamp is that of another write, ${this.held}; nothing was written`
  }
}

/**
 * The key that the caller invented is that of a write which differs from this one, `held`. Nothing was written now: a key
 * is for one write.
 */
export class IdempotencyKeyReused extends Schema.TaggedError<IdempotencyKeyReused>()("IdempotencyKeyReused", {
  /** The write that has the key. */
  held: WriteId
}) {
  override get message(): string {
    return `the idempotency key is that of another write, ${this.held}; nothing was written`
  }
}

/**
 * Whether the key that the caller invented was written before cannot be known now, because not every member says whether
 * it holds it. Nothing was written now. The same may be sent again with the same key, to any replica.
 */
export class IdempotencyUnknown extends Schema.TaggedError<IdempotencyUnknown>()("IdempotencyUnknown", {
  detail: Schema.String
}) {
  override get message(): string {
    return `whether the idempotency key was used before is not known: ${this.detail}; nothing was written now`
  }
}

/**
 * The stamp is older than what can be known: its write is not held here, and whether it was made before cannot be told
 * any more. Nothing was written now. Read what is there before you write anew.
 */
export class TooOldToKnow extends Schema.TaggedError<TooOldToKnow>()("TooOldToKnow", {
  ageMillis: Schema.Finite,
  horizonMillis: Schema.Finite
}) {
  override get message(): string {
    return (
      `the stamp is ${Math.round(this.ageMillis)} ms old, and of one older than ${this.horizonMillis} ms nobody can tell ` +
      `whether its write was made; nothing was written`
    )
  }
}

/** This replica does not hold the write. It may exist on the replica that its id names, or may never have existed. */
export class WriteUnknown extends Schema.TaggedError<WriteUnknown>()("WriteUnknown", { writeId: WriteId }) {
  override get message(): string {
    return `the write ${this.writeId} is not held by this replica`
  }
}

/**
 * The write was compacted: every member held it durably, each of its keys has a newer write that every member holds, or is
 * deleted, and its entry is gone since. There is nothing left to wait for or to ask about. Nothing was written now.
 */
export class WriteCompacted extends Schema.TaggedError<WriteCompacted>()("WriteCompacted", { writeId: WriteId }) {
  override get message(): string {
    return `the write ${this.writeId} was held by every member, and is compacted since newer writes superseded it`
  }
}

/**
 * Too few replicas answered a read in time. Nothing was changed, and asking again is safe.
 *
 * `reason` is `unreachable` when those that could still answer were too few, and `timeout` when they were silent.
 */
export class ReadUnavailable extends Schema.TaggedError<ReadUnavailable>()("ReadUnavailable", {
  answered: Schema.Int,
  needed: Schema.Int,
  reason: UnavailableReason,
  verdicts: Verdicts
}) {
  override get message(): string {
    return `read not possible (${this.answered} answered, need ${this.needed}, reason ${this.reason}); safe to retry`
  }
}

/**
 * The place of this id is another write's here: the id was given out by a copy of the log that did not last, from a store
 * that was restored, cloned or moved. What the id stands for may live on under another id.
 */
export class WriteReplaced extends Schema.TaggedError<WriteReplaced>()("WriteReplaced", {
  writeId: WriteId,
  /** The id of the write that is held at the place. */
  held: WriteId
}) {
  override get message(): string {
    return `the place of ${this.writeId} is taken by another write, ${this.held}`
  }
}
