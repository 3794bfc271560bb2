/**
 * What is answered instead of what was asked for: one class for each `error` of the client API, and a few of this client's
 * own. All have a `code` to branch on, a message for people, and say whether anything was `written`.
 */

/**
 * Whether a write that failed is anywhere.
 *
 * - `no`: nothing was written, and nothing will be
 * - `here`: it is durable on a replica and may spread; wait for it with `resume`, or send it again under its stamp
 * - `perhaps`: nobody knows; only the same stamp sends it again without becoming a second write
 */
export type Written = "no" | "here" | "perhaps"

/** What a replica knows of another one and a write. */
export interface Verdict {
  readonly kind: "acked" | "late" | "lagging" | "refused" | "timed_out" | "rejected" | "drifted" | "not_tried"
  /** Of `lagging`: by how many entries. */
  readonly by?: number
}

/** A verdict for each replica, by its id. */
export type Verdicts = Readonly<Record<string, Verdict>>

/** The fields with which an error is made: its message, and those that its class declares. */
export interface Fields {
  readonly message: string
  readonly url?: string | undefined
  readonly cause?: unknown
  readonly [field: string]: unknown
}

/** What all errors of this client have in common. */
export abstract class QuorumError extends Error {
  /** What programs branch on. */
  abstract readonly code: string
  /** The `code`, where Effect looks for it. */
  get _tag(): this["code"] {
    return this.code
  }
  /** The replica that answered so, by its url; none where the client itself says it. */
  declare readonly url: string | undefined
  /** Whether anything was written. */
  readonly written: Written = "no"
  constructor({ cause, message, ...fields }: Fields) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    Object.assign(this, fields)
  }
}

/** A parameter cannot be used; `field` is its name. */
export class InvalidRequest extends QuorumError {
  readonly code = "invalid_request"
  declare readonly field: string
  declare readonly detail: string
}

/** The write is invalid or too large. */
export class WriteRejected extends QuorumError {
  readonly code = "write_rejected"
  declare readonly field: string
  declare readonly detail: string
  declare readonly reason: "invalid" | "too_large"
}

/** The replica wants a token, and got none that it knows. */
export class Unauthorized extends QuorumError {
  readonly code = "unauthorized"
}

/** The token does not reach so far. */
export class Forbidden extends QuorumError {
  readonly code = "forbidden"
}

/** There is no such record. `get` answers `undefined` instead. */
export class RecordNotFound extends QuorumError {
  readonly code = "not_found"
  declare readonly namespace: string
  declare readonly key: string
}

/** The write is not held by the replicas that were asked, and did not come in time; another may have it. */
export class WriteUnknown extends QuorumError {
  readonly code = "write_unknown"
  declare readonly writeId: string
}

/** What was asked is not at this url: it is no replica, or one of another release. */
export class RouteUnknown extends QuorumError {
  readonly code = "route_unknown"
}

/** As {@link RouteUnknown}, of a method. */
export class MethodNotAllowed extends QuorumError {
  readonly code = "method_not_allowed"
}

/** Too few replicas answered a `quorum` or `linearizable` read. */
export class ReadUnavailable extends QuorumError {
  readonly code = "read_unavailable"
  declare readonly answered: number
  declare readonly needed: number
  declare readonly reason: "unreachable" | "timeout"
  declare readonly verdicts: Verdicts
}

/** The place of the write id is another write's. */
export class WriteReplaced extends QuorumError {
  readonly code = "write_replaced"
  declare readonly writeId: string
  declare readonly held: string
}

/** The write was held by every replica, and is compacted since newer writes superseded it. */
export class WriteCompacted extends QuorumError {
  readonly code = "write_compacted"
  declare readonly writeId: string
}

/** Deletes after the position are forgotten, or what it has seen is lost: read the records that there are, then follow from this `position`. */
export class ChangesForgotten extends QuorumError {
  readonly code = "changes_forgotten"
  declare readonly position: string
}

/** The stamp is another write's, `held`. */
export class StampReused extends QuorumError {
  readonly code = "stamp_reused"
  declare readonly held: string
}

/** The `Idempotency-Key` is another write's, `held`. */
export class IdempotencyKeyReused extends QuorumError {
  readonly code = "idempotency_key_reused"
  declare readonly held: string
}

/** Not every member says whether it holds a write of the `Idempotency-Key`; it may be sent again. */
export class IdempotencyUnknown extends QuorumError {
  readonly code = "idempotency_unknown"
  override readonly written = "perhaps"
  declare readonly detail: string
}

/** The stamp is older than what can be known: whether it was written before, nobody can tell. */
export class TooOldToKnow extends QuorumError {
  readonly code = "too_old_to_know"
  override readonly written = "perhaps"
  declare readonly ageMillis: number
  declare readonly horizonMillis: number
}

/** The request is longer than the replica takes. */
export class RequestTooLarge extends QuorumError {
  readonly code = "request_too_large"
}

/** The request did not come to the replica in time. */
export class RequestTimeout extends QuorumError {
  readonly code = "request_timeout"
}

/** The body is of a type that is not read. */
export class UnsupportedMediaType extends QuorumError {
  readonly code = "unsupported_media_type"
}

/** This client asks more often than the replica lets it. Nothing was done; others may take it. */
export class RateLimited extends QuorumError {
  readonly code = "rate_limited"
}

/** The url names a host by which the replica is not known. */
export class HostUnknown extends QuorumError {
  readonly code = "host_unknown"
  declare readonly field: string
  declare readonly detail: string
}

/** Something between this client and the replica asks for what there is not. */
export class NotImplemented extends QuorumError {
  readonly code = "not_implemented"
  declare readonly field: string
}

/** Something went wrong on the replica; its log says what. */
export class Internal extends QuorumError {
  readonly code = "internal"
  override readonly written = "perhaps"
}

/** The replica cannot say whether the write took place. */
export class WriteUncertain extends QuorumError {
  readonly code = "write_uncertain"
  override readonly written = "perhaps"
}

/** Durable on a replica, not known to be on as many as are needed. `resume(writeId)` waits for it. */
export class QuorumNotMet extends QuorumError {
  readonly code = "quorum_not_met"
  override readonly written = "here"
  declare readonly got: number
  declare readonly needed: number
  declare readonly reason: "unreachable" | "timeout" | "id_drift" | "in_flight"
  declare readonly writeId: string
  declare readonly verdicts: Verdicts
}

/** Too few members are alive. */
export class QuorumUnavailable extends QuorumError {
  readonly code = "quorum_unavailable"
  declare readonly alive: number
  declare readonly needed: number
  declare readonly reason: string
  declare readonly verdicts: Verdicts
}

/** The replica cannot append to its store. */
export class LocalWriteFailed extends QuorumError {
  readonly code = "local_write_failed"
}

/** Too many writes wait at the replica. */
export class Overloaded extends QuorumError {
  readonly code = "overloaded"
  declare readonly detail: string
}

/** The replica has nearly no room left: it takes deletes, and no puts. Bytes. */
export class DiskLow extends QuorumError {
  readonly code = "disk_low"
  declare readonly leftBytes: number
  declare readonly reserveBytes: number
}

/** The replica is closing. */
export class ReplicaClosing extends QuorumError {
  readonly code = "replica_closing"
}

/** The replica has started, and may not write or read yet. */
export class NotReady extends QuorumError {
  readonly code = "not_ready"
  declare readonly detail: string
}

/** The replica answers, and its store fails. */
export class Unhealthy extends QuorumError {
  readonly code = "unhealthy"
  declare readonly reason: string
}

/** The write that a read waits for has not come to the replica yet. */
export class NotYetVisible extends QuorumError {
  readonly code = "not_yet_visible"
  declare readonly writeId: string
}

/** The replica cannot read its store. */
export class StoreFailed extends QuorumError {
  readonly code = "store_failed"
  declare readonly reason: string
}

/** The replica does not answer in a type that was asked for. */
export class NotAcceptable extends QuorumError {
  readonly code = "not_acceptable"
  declare readonly accept: string
}

/** A range of a log is damaged on the replica, so its changes cannot be followed there. */
export class LogDamaged extends QuorumError {
  readonly code = "log_damaged"
  declare readonly log: string
  declare readonly from: number
  declare readonly to: number
}
