/**
 * What replicas say to each other: a handshake, pushes of the sender's own log, and pulls of any log.
 *
 * The protocol is data. A transport carries it unchanged, as the frames of `PeerFrame` (or calls the handler directly,
 * as the in-memory transport does), and decides nothing.
 */
import { Context, Option, Schema } from "effect"
import { Detail } from "../log/Detail.ts"
import * as Entry from "../log/Entry.ts"
import type * as EntryBatch from "../log/EntryBatch.ts"
import * as Limits from "../log/Limits.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import * as Life from "../identity/Life.ts"
import * as LogId from "../identity/LogId.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"
import type { Key } from "../log/ReplicaClock.ts"
import * as WriteId from "../identity/WriteId.ts"
import * as ReplicaStore from "../log/ReplicaStore.ts"
import * as Version from "../log/Version.ts"
import * as Watermark from "../log/Watermark.ts"

/**
 * The versions of the protocol that this replica speaks, the oldest first. Two replicas use the highest that both speak,
 * so that neighbouring releases work together, and refuse each other only when there is none.
 *
 * - 1: the first
 * - 2: the handshake says versions, features and limits
 * - 3: entries of layout 2; handshakes and acks say which lives of the members are known, who votes, and clocks. Nobody
 *   speaks the versions before any more: their entries are not these
 */
export const versions: readonly [number, ...ReadonlyArray<number>] = [3]

/**
 * The optional features that there are; one is used when both sides say it.
 *
 * - `trace_context`: a push says to which traces it belongs. Said by replicas that are traced
 * - `durable_in_push`: a push says how far its sender holds the log durably, and so may come before that
 */
export const features = ["trace_context", "durable_in_push"] as const

/** An optional feature. */
export type Feature = (typeof features)[number]

/** The most bytes of entries in one push or pull, unless a single entry is larger. */
export const maxBatchBytes = 1024 * 1024

/** How often a replica and a peer compare version vectors, in milliseconds. A silent peer is noticed this late. */
export const HeartbeatInterval = Context.Reference<number>("@quorum/core/HeartbeatInterval", {
  defaultValue: () => 1000
})

/** How far the clock of a peer may differ, in milliseconds, before it is said in the log. */
export const ClockSkewWarn = Context.Reference<number>("@quorum/core/ClockSkewWarn", { defaultValue: () => 30_000 })

/**
 * The most bytes of one message of the protocol, in either direction, by the limits of writes, which have to be the same
 * on all members.
 *
 * A batch holds at most {@link maxBatchBytes} of entries unless a single entry is larger, and the largest entry follows
 * from the limits; 64 KiB are for all else. A transport that took less would let large writes be committed and never be
 * replicated (law L25). A handshake has a limit of its own, `PeerFrame.maxHelloBytes`.
 */
export const maxMessageBytes = (limits: Limits.Limits = Limits.defaults): number =>
  64 * 1024 + Math.max(maxBatchBytes, Entry.longest(limits))

/** How long one request to a peer may take, in milliseconds, before the connection is given up. */
export const RequestTimeout = Context.Reference<number>("@quorum/core/RequestTimeout", { defaultValue: () => 2000 })

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

/**
 * Up to which clock nothing is left with the one who says it of what was superseded by writes before that clock; who says
 * nothing has swept nothing. See `Sweeps`.
 */
const swept = Schema.optionalKey(HybridLogicalClock.HybridLogicalClock)

/** The latest clock so far which any member that the one who says it knows of has ever swept; see `OnlyHere`. */
const everSwept = Schema.optionalKey(HybridLogicalClock.HybridLogicalClock)

/** Whether what the one who says it holds may be older than what the members have erased since. */
const stale = Schema.optionalKey(Schema.Boolean)

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
  swept,
  everSwept,
  stale,
  vector: Watermark.VersionVector,
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
  swept,
  everSwept,
  stale,
  vector: Watermark.VersionVector,
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

/** The session is not known (any more): the caller has to make a new handshake. */
export class SessionUnknown extends Schema.TaggedError<SessionUnknown>()("SessionUnknown", {}) {
  override get message(): string {
    return "the session is not known here; a handshake has to come first"
  }
}

/** The receiver decoded the entries and will not take them, now or later. */
export class PushRejected extends Schema.TaggedError<PushRejected>()("PushRejected", { detail: Detail }) {
  override get message(): string {
    return `push rejected: ${this.detail}`
  }
}

/** A span that is sampled, by its ids in lower-case hexadecimal digits: 32 of its trace, and 16 of its own. */
export interface TraceContext {
  readonly traceId: string
  readonly spanId: string
}

/** Entries of the sender's own log, in order. */
export interface Push {
  readonly session: string
  readonly batch: EntryBatch.EntryBatch
  /**
   * How far the sender holds the log durably, where that is not the whole of the batch: it is pushed while it is synced.
   * Said to a peer that speaks `durable_in_push`; another gets what is durable.
   */
  readonly durable?: number | undefined
  /** The spans of this push, to a peer that speaks `trace_context`. */
  readonly traces?: ReadonlyArray<TraceContext>
}

/**
 * "I, `replica`, hold the log durably up to `seq`, and the chain there is `chain`." It counts for a quorum only with the
 * rest: from a replica that votes, of the incarnation that was greeted, which knows the same lives of the members.
 */
export interface Ack extends Watermark.Watermark {
  readonly replica: ReplicaId.ReplicaId
  readonly incarnation: LogId.Incarnation
  /** The hash of the lives that it knows, see `Life.hash`. */
  readonly members: number
  /** Its hybrid logical clock when the ack was sent. */
  readonly clock: HybridLogicalClock.HybridLogicalClock
  readonly voting: boolean
}

/** Asks for the entries of a log after a place. */
export const Pull = Schema.Struct({
  session: Schema.String,
  log: LogId.LogId,
  after: LogId.Sequence,
  maxBytes: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
})

/** Asks for the entries of a log after a place. */
export type Pull = typeof Pull.Type

/** The entries asked for; `null` when there are none after that place. */
export interface Pulled {
  readonly batch: EntryBatch.EntryBatch | null
}

/** Asks for the newest write of a key, of a replica that votes. */
export const Read = Schema.Struct({
  session: Schema.String,
  namespace: Schema.String,
  key: Schema.String,
  /** The version that the caller has. Its value is not sent again. */
  have: Schema.NullOr(Version.Version),
  /** A write that has to be held by the replica that answers: it fetches what it misses, for so long at most. */
  confirm: Schema.NullOr(
    Schema.Struct({ writeId: WriteId.WriteId, withinMillis: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)) })
  )
})

/** Asks for the newest write of a key. */
export type Read = typeof Read.Type

/** What is said of a key; the value travels beside it. */
export const ReadHead = Schema.Struct({
  incarnation: LogId.Incarnation,
  /** The hash of the lives that it knows, see `Life.hash`. */
  members: Schema.Int,
  /** The newest write that it durably holds, a delete too; null when there is none. */
  newest: Schema.NullOr(
    Schema.Struct({
      writeId: WriteId.WriteId,
      ...Version.Version.fields,
      unprobed: Schema.Boolean,
      deleted: Schema.Boolean,
      contentType: Schema.optionalKey(Schema.String)
    })
  ),
  /** Whether it holds the write that it was asked to. */
  confirmed: Schema.Boolean
})

/** What is said of a key. */
export interface ReadAnswer {
  readonly head: typeof ReadHead.Type
  /** The value of the newest write; empty when the caller has it, and for a delete. */
  readonly value: Uint8Array
}

/** It may lack something that it acknowledged, and answers nothing that counts for a quorum. */
export class NotVoting extends Schema.TaggedError<NotVoting>()("NotVoting", {}) {
  override get message(): string {
    return "this replica is recovering, and does not vote"
  }
}

/** Why a read was not answered. */
export const ReadError = Schema.Union([SessionUnknown, NotVoting, ReplicaStore.StoreError])

/** Why a read was not answered. */
export type ReadError = typeof ReadError.Type

/** Asks what is held of a write today, of a replica that votes. */
export const Verify = Schema.Struct({
  session: Schema.String,
  writeId: WriteId.WriteId,
  /** The version of the write, by which it is known where it was committed again at another place. */
  version: Schema.optionalKey(Version.Version)
})

/** Asks what is held of a write today. */
export type Verify = typeof Verify.Type

/**
 * What a replica holds of a write.
 *
 * - `held`: its entry, durably
 * - `superseded`: its entry too, and of every key of it a newer write
 * - `compacted`: its place is held and its entry is gone, because every member held it and something newer
 * - `missing`: its log does not reach the place
 * - `replaced`: another entry at the place
 * - `damaged`: it, or what comes before it in its log, cannot be read
 */
export const CopyState = Schema.Literals(["held", "superseded", "compacted", "missing", "replaced", "damaged"])

/** What a replica holds of a write. */
export type CopyState = typeof CopyState.Type

/** What is held of a write, and the hash of the lives that it knows: one that knows of others may be a former life itself. */
export const Verified = Schema.Struct({
  state: CopyState,
  members: Schema.Int,
  /** The id that the write has in another log, where it was committed again when its place was given up. */
  movedTo: Schema.optionalKey(WriteId.WriteId)
})

/** What is held of a write. */
export type Verified = typeof Verified.Type

/** Asks for the clock of a replica, and for the versions of keys if they lie beyond what its clock follows. */
export interface Probe {
  readonly session: string
  readonly keys: ReadonlyArray<Key>
}

/** "Every version that I hold is at or before this clock", but for those of the keys that are kept. */
export interface Probed {
  readonly clock: HybridLogicalClock.HybridLogicalClock
  /** The hash of the lives of the members that it knows of: one that knows of others may be a former life itself. */
  readonly members: number
  /** Keys are kept whose versions lie beyond the clock: an answer counts when it was asked about them. */
  readonly far: boolean
  /** Of the keys that were asked about, by their index, the versions that lie beyond the clock. */
  readonly versions: ReadonlyArray<{ readonly index: number; readonly clock: HybridLogicalClock.HybridLogicalClock }>
}

/** Why a probe was not answered. */
export const ProbeError = Schema.Union([SessionUnknown, NotVoting])

/** Why a probe was not answered. */
export type ProbeError = typeof ProbeError.Type

/** Why a push was not acked. */
export const PushError = Schema.Union([
  SessionUnknown,
  PushRejected,
  ReplicaStore.AppendGap,
  ReplicaStore.AppendDrift,
  ReplicaStore.StoreError
])

/** Why a push was not acked. */
export type PushError = typeof PushError.Type

/** Why a pull was not answered. */
export const PullError = Schema.Union([SessionUnknown, ReplicaStore.StoreError])

/** Why a pull was not answered. */
export type PullError = typeof PullError.Type

/**
 * The identity that the transport has proved for the caller of the current request (a client certificate, say). None
 * when the transport proves nothing. A transport provides it around each request.
 */
export const ProvenIdentity = Context.Reference<Option.Option<ReplicaId.ReplicaId>>("@quorum/core/ProvenIdentity", {
  defaultValue: Option.none
})

/**
 * A peer gave no answer that counts.
 *
 * - `refused`: nothing listens at its address, or the connection was turned away
 * - `timed_out`: no answer in time
 * - `invalid_answer`: something answered, and it was not the protocol
 */
export class PeerUnreachable extends Schema.TaggedError<PeerUnreachable>()("PeerUnreachable", {
  peer: ReplicaId.ReplicaId,
  reason: Schema.Literals(["refused", "timed_out", "invalid_answer"]),
  detail: Schema.String
}) {
  override get message(): string {
    return `peer ${this.peer} unreachable (${this.reason}): ${this.detail}`
  }
}

/**
 * What is told of a peer at whose address something answered with a status that is not a replica's answer: a proxy,
 * another program, a replica that stops. The same over every transport.
 */
export const answeredWith = (peer: ReplicaId.ReplicaId, status: number): PeerUnreachable =>
  new PeerUnreachable({ peer, reason: "invalid_answer", detail: `the answer has status ${status}` })

/** What is told of a peer to which a connection could not be made, or did not last. The same over every transport. */
export const disconnected = (peer: ReplicaId.ReplicaId, error: unknown): PeerUnreachable =>
  new PeerUnreachable({ peer, reason: "refused", detail: explain(error) })

/** The messages of an error and of what caused it: where "connection refused" stands, it stands at the bottom. */
export const explain = (error: unknown): string => {
  const messages = new Set<string>()
  for (let at = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    if (at.message !== "") messages.add(at.message)
    at = beneath(at)
  }
  return Array.from(messages).join(": ")
}

// ---------------------------------------------------------------------------------------------------------------------

/** What caused an error: libraries keep it as a reason, as a cause, in the event that told of it, or in a list. */
const beneath = (error: Error): unknown => {
  const next = "reason" in error && error.reason instanceof Error ? error.reason : error.cause
  if (next instanceof AggregateError && next.message === "") return next.errors[0]
  if (next instanceof Error || typeof next !== "object" || next === null) return next
  return "error" in next ? next.error : next
}
