/**
 * The messages of a handshake: who a replica is, what it knows of the members, and what it holds; and why it is refused.
 */
import { Schema } from "effect"
import * as Life from "../identity/Life.ts"
import * as LogId from "../identity/LogId.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"
import { BackupOrigin } from "../log/BackupOrigin.ts"
import { Detail } from "../log/Detail.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import * as Limits from "../log/Limits.ts"
import * as Watermark from "../log/Watermark.ts"

/** The floor of a replica, together with what it holds and the lives that it knows as it says so; see `Floors`. */
export const Floor = Schema.Struct({
  /** Nothing that it appends to its own log after `end` is stamped at or before this. */
  clock: HybridLogicalClock.HybridLogicalClock,
  /** The end of its own log as it was written, which may be further than it is durable. */
  end: LogId.Sequence,
  /** Up to where entries of its own log may be older than its floors: it has committed them again. */
  again: LogId.Sequence
})

/** What either side of a handshake says of itself, beside its name and what it holds. */
export const says = {
  ...Life.Life.fields,
  /** Whether it counts for a quorum: it holds all that it was ever counted for. */
  voting: Schema.Boolean,
  /** Whether its store was created empty, and nobody has told it since whether that was a first start or a loss. */
  blank: Schema.Boolean,
  /** The backup that its store was filled from; not said when there is none. */
  restoredFrom: Schema.optionalKey(BackupOrigin),
  /** The newest life of each member that it knows of, its own among them. */
  members: Life.Lives,
  /** What it remembers that the other side acked. */
  remembered: Watermark.VersionVector,
  /** Its hybrid logical clock. */
  clock: HybridLogicalClock.HybridLogicalClock,
  /** Not said by releases that have none. */
  floor: Schema.optionalKey(Floor),
  /** The members that it has marked because they are away too long, and in which life; `turn` rises with every change. See `Absence`. */
  away: Schema.optionalKey(
    Schema.Struct({ turn: Schema.Int, marks: Schema.Record(ReplicaId.ReplicaId, LogId.Incarnation) })
  )
}

/** What either side of a handshake holds, and what it has erased. */
const holds = {
  /**
   * Up to which clock nothing is left with the one who says it of what was superseded by writes before that clock; who says
   * nothing has swept nothing. See `Sweeps`.
   */
  swept: Schema.optionalKey(HybridLogicalClock.HybridLogicalClock),
  /** The latest clock so far which any member that the one who says it knows of has ever swept; see `OnlyHere`. */
  everSwept: Schema.optionalKey(HybridLogicalClock.HybridLogicalClock),
  /** Whether what the one who says it holds may be older than what the members have erased since. */
  stale: Schema.optionalKey(Schema.Boolean),
  vector: Watermark.VersionVector
}

/**
 * The first thing a replica says on a connection, and what it repeats as a heartbeat: who it is and what it holds.
 * `sentAt` is its clock in milliseconds since the epoch.
 */
export const Hello = Schema.Struct({
  /** The oldest version that the caller speaks, which is all that a replica of version 1 looks at; and all of them. */
  version: Schema.Int,
  versions: Schema.optionalKey(Schema.Array(Schema.Int)),
  features: Schema.optionalKey(Schema.Array(Schema.String)),
  limits: Schema.optionalKey(Limits.LimitsJson),
  cluster: Schema.String,
  replica: ReplicaId.ReplicaId,
  ...says,
  ...holds,
  sentAt: Schema.Finite
})

/** The first thing a replica says on a connection. */
export type Hello = typeof Hello.Type

/** The answer to an accepted handshake. `session` has to come with every later request. */
export const Welcome = Schema.Struct({
  /** The version that is used from here on, and the features; a replica that does not say speaks version 1. */
  version: Schema.optionalKey(Schema.Int),
  features: Schema.optionalKey(Schema.Array(Schema.String)),
  limits: Schema.optionalKey(Limits.LimitsJson),
  cluster: Schema.String,
  replica: ReplicaId.ReplicaId,
  ...says,
  ...holds,
  session: Schema.String.check(
    Schema.isPattern(/^[0-9A-Za-z]{1,64}$/, { message: "a session is up to 64 letters and digits" })
  ),
  /** The run of another process that said hello in the caller's name lately, and was refused as a duplicate. */
  rival: Schema.optionalKey(Life.Life.fields.run),
  /** The answering replica's clock when the request came in and when the answer left, in milliseconds. */
  receivedAt: Schema.Finite,
  sentAt: Schema.Finite
})

/** The answer to an accepted handshake. */
export type Welcome = typeof Welcome.Type

/** What either side says of itself. */
export type Says = Pick<Welcome, keyof typeof says>

/** What either side says of itself, and what it holds. */
export type Said = Says & Pick<Welcome, "everSwept" | "replica" | "vector">

/** The handshake is refused; nothing else is answered until it is accepted. */
export class HandshakeRefused extends Schema.TaggedError<HandshakeRefused>()("HandshakeRefused", {
  /**
   * - `version`: there is no version of the protocol that both speak
   * - `limits_differ`: writes that one of the two takes would never get to the other (law L25)
   * - `wrong_cluster`: another replica set
   * - `self`: the caller claims the id of the replica it called
   * - `stranger`: not a member
   * - `duplicate`: another live process has this id
   * - `stale_incarnation`: a newer life of the caller is known, which `detail` and `newest` name; or of the replica that
   *   answers (found by the caller)
   * - `not_stored`: the replica that was called cannot store that it has met the caller
   * - `identity_mismatch`: the transport proved another identity than the caller claims
   * - `wrong_replica`: another replica answers at this address (found by the caller)
   */
  reason: Schema.Literals([
    "version",
    "limits_differ",
    "wrong_cluster",
    "self",
    "stranger",
    "duplicate",
    "stale_incarnation",
    "not_stored",
    "identity_mismatch",
    "wrong_replica"
  ]),
  detail: Detail,
  /** What the caller is told of `stale_incarnation`: its newest life that is known. */
  newest: Schema.optionalKey(Life.Life)
}) {
  override get message(): string {
    return `handshake refused (${this.reason}): ${this.detail}`
  }
}
