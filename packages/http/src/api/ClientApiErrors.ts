/**
 * The errors of the client API: core's errors, and how each of them travels.
 *
 * Every error of every endpoint has the same shape (law L17): a status, a JSON body with `error` (what a program
 * branches on), `message` (for people) and what else is known, and with every 503 a `Retry-After` header in seconds. A
 * typed client gets core's error classes back.
 */
import { Changes, LogId, WriteId, QuorumError, Records } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Schema } from "effect"
import { HttpApiMiddleware } from "effect/http-api"
import { type AnyTravel, travel, unavailable, unmet, withStatus } from "./ErrorTravel.ts"
import * as StampErrors from "./StampErrors.ts"

/** A parameter cannot be used. `field` is its name. Nothing was written. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  field: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `invalid request, ${this.field}: ${this.detail}`
  }
}

/** The key was never written, as far as this replica knows, or is deleted. */
export class RecordNotFound extends Schema.TaggedError<RecordNotFound>()("RecordNotFound", {
  namespace: Schema.String,
  key: Schema.String
}) {
  override get message(): string {
    return `there is no record ${JSON.stringify(this.key)} in ${JSON.stringify(this.namespace)}`
  }
}

/** The replica answers and does not work. `reason` is its store's; what exactly is in this replica's log. */
export class Unhealthy extends Schema.TaggedError<Unhealthy>()("Unhealthy", {
  reason: ReplicaStore.StoreErrorReason
}) {
  override get message(): string {
    return `the store of this replica fails (${this.reason}); its log says why`
  }
}

const invalidRequest = travel(
  InvalidRequest,
  "invalid_request",
  { field: Schema.String, detail: Schema.String },
  (body) => new InvalidRequest(body)
)

/** The body is not of the type that is read here. */
export class UnsupportedMediaType extends Schema.TaggedError<UnsupportedMediaType>()("UnsupportedMediaType", {
  type: Schema.String
}) {
  override get message(): string {
    return `the type of the body is ${this.type}, and application/x-ndjson is read here`
  }
}

/** The answer has none of the types that the client takes. */
export class NotAcceptable extends Schema.TaggedError<NotAcceptable>()("NotAcceptable", { accept: Schema.String }) {
  override get message(): string {
    return `the answer is application/x-ndjson or text/event-stream, and ${this.accept} is accepted`
  }
}

/** Every endpoint answers parameters that do not decode with 400 `invalid_request`, naming the field. */
export class InvalidRequests extends HttpApiMiddleware.Service<InvalidRequests>()(
  "@quorum/http/ClientApi/InvalidRequests",
  {
    error: withStatus(400, invalidRequest)
  }
) {}

/** Every endpoint refuses what it would not look at: see `RequestRules`. The answers are those of {@link InvalidRequests}. */
export class StrictRequests extends HttpApiMiddleware.Service<StrictRequests>()(
  "@quorum/http/ClientApi/StrictRequests"
) {}

/** The record is not there. */
const recordNotFound = withStatus(
  404,
  travel(
    RecordNotFound,
    "not_found",
    { namespace: Schema.String, key: Schema.String },
    (body) => new RecordNotFound(body)
  )
)

/** The write is not held by this replica. */
const writeUnknown = withStatus(
  404,
  travel(
    QuorumError.WriteUnknown,
    "write_unknown",
    { writeId: WriteId.WriteId },
    (body) => new QuorumError.WriteUnknown(body)
  )
)

const replaced = travel(
  QuorumError.WriteReplaced,
  "write_replaced",
  { writeId: WriteId.WriteId, held: WriteId.WriteId },
  (body) => new QuorumError.WriteReplaced(body)
)

/** The place of the id is another write's. */
const writeReplaced = withStatus(409, replaced)

/** The write of `atLeast` has not arrived yet. */
const notYetVisible = travel(
  Records.NotYetVisible,
  "not_yet_visible",
  { writeId: WriteId.WriteId },
  (body) => new Records.NotYetVisible(body)
)

/** Too few replicas answered a read. Nothing was changed. */
const readUnavailable = travel(
  QuorumError.ReadUnavailable,
  "read_unavailable",
  {
    answered: Schema.Int,
    needed: Schema.Int,
    reason: Schema.Literals(["unreachable", "timeout"]),
    verdicts: QuorumError.Verdicts
  },
  (body) => new QuorumError.ReadUnavailable(body)
)

/** A read failed at the store. What exactly is in this replica's log, because it names files. */
const storeFailed = travel(
  ReplicaStore.StoreError,
  "store_failed",
  { reason: ReplicaStore.StoreErrorReason },
  ({ reason }) => new ReplicaStore.StoreError({ reason, detail: "the replica's own log says more" }),
  "this replica cannot read its store now; its log says why"
)

/** Durable here, not known to be on W replicas. `resume` the write; never write it again blindly. */
const quorumNotMet = travel(
  QuorumError.QuorumNotMet,
  "quorum_not_met",
  {
    got: Schema.Int,
    needed: Schema.Int,
    reason: QuorumError.Reason,
    writeId: WriteId.WriteId,
    verdicts: QuorumError.Verdicts
  },
  (body) => new QuorumError.QuorumNotMet(body)
)

/** Too few members are alive; nothing was written. */
const quorumUnavailable = travel(
  QuorumError.QuorumUnavailable,
  "quorum_unavailable",
  {
    alive: Schema.Int,
    needed: Schema.Int,
    reason: QuorumError.UnavailableReason,
    verdicts: QuorumError.Verdicts
  },
  (body) => new QuorumError.QuorumUnavailable(body)
)

/** The local append failed; nothing was written. What exactly is in this replica's log, because it names files. */
const localWriteFailed = travel(
  QuorumError.LocalWriteFailed,
  "local_write_failed",
  {},
  () => new QuorumError.LocalWriteFailed({ detail: "the replica's own log says more" }),
  "this replica cannot append to its store now, its log says why; nothing was written, safe to retry"
)

/** Refused before anything was done; nothing was written. */
const writeRejected = (reason: QuorumError.WriteRejected["reason"]) =>
  travel(
    QuorumError.WriteRejected,
    "write_rejected",
    { field: Schema.String, detail: Schema.String, reason: Schema.Literal(reason) },
    (body) => new QuorumError.WriteRejected(body)
  )

/** Too many writes wait already; nothing was written. */
const overloaded = travel(
  QuorumError.Overloaded,
  "overloaded",
  { detail: Schema.String },
  (body) => new QuorumError.Overloaded(body)
)

/** This replica is closing; nothing was written. */
const replicaClosing = travel(QuorumError.ReplicaClosing, "replica_closing", {}, () => new QuorumError.ReplicaClosing())

/** This replica has started and may not append yet; nothing was written. */
const notReady = travel(
  QuorumError.NotReady,
  "not_ready",
  { detail: Schema.String },
  (body) => new QuorumError.NotReady(body)
)

/** It is not known whether the write took place. What exactly is in this replica's log, because it names files. */
const writeUncertain = travel(
  QuorumError.WriteUncertain,
  "write_uncertain",
  {},
  () => new QuorumError.WriteUncertain({ detail: "the replica's own log says more" }),
  "this replica cannot say whether the write took place; its log says why"
)

/** A log cannot be read on, and all else was shown. */
const logDamaged = travel(
  Changes.LogDamaged,
  "log_damaged",
  { log: LogId.LogId, from: LogId.Sequence, to: LogId.Sequence },
  (body) => new Changes.LogDamaged(body)
)

/** None of the types that the client takes is one in which this is answered. */
const notAcceptable = travel(
  NotAcceptable,
  "not_acceptable",
  { accept: Schema.String },
  (body) => new NotAcceptable(body)
)

/** What a commit may be answered with instead of a receipt. */
export const ofCommit = [
  unmet(quorumNotMet),
  withStatus(500, writeUncertain),
  withStatus(409, StampErrors.stampReused),
  withStatus(410, StampErrors.tooOldToKnow),
  unavailable(quorumUnavailable, localWriteFailed, overloaded, replicaClosing, notReady),
  withStatus(400, writeRejected("invalid")),
  withStatus(413, writeRejected("too_large"))
] as const

/** What a batch may be answered with instead of lines. */
export const ofBatch = withStatus(
  415,
  travel(
    UnsupportedMediaType,
    "unsupported_media_type",
    { type: Schema.String },
    (body) => new UnsupportedMediaType(body)
  )
)

/** What a line of a batch may be answered with: the statuses are those of a request of its own. */
export const ofLine: ReadonlyArray<readonly [status: number, travel: AnyTravel]> = [
  [400, invalidRequest],
  [400, writeRejected("invalid")],
  [409, StampErrors.stampReused],
  [410, StampErrors.tooOldToKnow],
  [413, writeRejected("too_large")],
  [500, writeUncertain],
  [503, quorumUnavailable],
  [503, localWriteFailed],
  [503, overloaded],
  [503, replicaClosing],
  [503, notReady],
  [504, quorumNotMet]
]

/** What a read of a record may be answered with instead of its value. */
export const ofRead = [
  recordNotFound,
  writeReplaced,
  unavailable(notYetVisible, storeFailed, readUnavailable, notReady)
] as const

/** What a page may be answered with instead of records. */
export const ofPage = unavailable(storeFailed, notReady)

/** What changes may be answered with instead of lines. */
export const ofChanges = [
  withStatus(406, notAcceptable),
  writeReplaced,
  unavailable(logDamaged, storeFailed, notReady, replicaClosing)
] as const

/** What the last line of changes may say. */
export const ofEnd: ReadonlyArray<AnyTravel> = [
  replaced,
  logDamaged,
  storeFailed,
  notReady,
  replicaClosing,
  invalidRequest
]

/** What a question about a write may be answered with. */
export const ofWriteStatus = [writeUnknown, writeReplaced, unavailable(storeFailed)] as const

/** What a resumed write may be answered with instead of its receipt. */
export const ofResume = [writeUnknown, writeReplaced, unmet(quorumNotMet), unavailable(storeFailed)] as const

/** What a receipt may be answered with instead of what became of its copies. */
export const ofVerify = [writeUnknown, withStatus(413, writeRejected("too_large"))] as const

/** What a question about the replica's health may be answered with. */
export const ofHealth = unavailable(
  travel(Unhealthy, "unhealthy", { reason: ReplicaStore.StoreErrorReason }, (body) => new Unhealthy(body))
)

/** What a question about its readiness may be answered with. */
export const ofReadiness = unavailable(notReady)
