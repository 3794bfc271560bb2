/**
 * What replicas say to each other: a handshake (`Greeting`), pushes of the sender's own log, and pulls of any log.
 *
 * The protocol is data. A transport carries it unchanged, as the frames of `PeerFrame` (or calls the handler directly,
 * as the in-memory transport does), and decides nothing.
 */
import { Context, Option, Schema } from "effect"
import { Detail } from "../log/Detail.ts"
import * as Entry from "../log/Entry.ts"
import type * as EntryBatch from "../log/EntryBatch.ts"
import * as Limits from "../log/Limits.ts"
import type * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import * as LogId from "../identity/LogId.ts"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import type { Key } from "../log/ReplicaClock.ts"
import * as WriteId from "../identity/WriteId.ts"
import * as ReplicaStore from "../log/ReplicaStore.ts"
import * as Version from "../log/Version.ts"
import type * as Watermark from "../log/Watermark.ts"

export { Floor, HandshakeRefused, Hello, says, Welcome } from "./Greeting.ts"
export { answeredWith, disconnected, explain, PeerUnreachable } from "./PeerUnreachable.ts"

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
