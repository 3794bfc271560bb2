/**
 * The one table of what the client API may answer instead of what was asked for: each error, its status, its `error`, and
 * what of it a client may see. How each is meant is said where its class is.
 */
import { Changes, LogId, QuorumError, Records, WriteId } from "@quorum/core"
import { Problem, ReplicaStore } from "@quorum/core/adapter"
import { Schema } from "effect"
import * as Errors from "./ApiErrors.ts"
import { type Travel, travel } from "./ErrorTravel.ts"

const ids = { writeId: WriteId.WriteId }
const detail = { detail: Schema.String }
const field = { field: Schema.String, detail: Schema.String }
const verdicts = { verdicts: QuorumError.Verdicts }

/** What strangers are not told: it names files. */
const logSaysMore = { detail: "the replica's own log says more" }

const rejected = (status: number, reason: QuorumError.WriteRejected["reason"]) =>
  travel(status, QuorumError.WriteRejected, "write_rejected", { ...field, reason: Schema.Literal(reason) })

export const invalidRequest = travel(400, Errors.InvalidRequest, "invalid_request", field)
export const writeInvalid = rejected(400, "invalid")
export const unauthorized = travel(401, Errors.Unauthorized, "unauthorized", {})
export const forbidden = travel(403, Errors.Forbidden, "forbidden", {})
export const recordNotFound = travel(404, Errors.RecordNotFound, "not_found", {
  namespace: Schema.String,
  key: Schema.String
})
export const writeUnknown = travel(404, QuorumError.WriteUnknown, "write_unknown", ids)
export const notAcceptable = travel(406, Errors.NotAcceptable, "not_acceptable", { accept: Schema.String })
export const writeReplaced = travel(409, QuorumError.WriteReplaced, "write_replaced", {
  ...ids,
  held: WriteId.WriteId
})
export const writeCompacted = travel(410, QuorumError.WriteCompacted, "write_compacted", ids)
export const changesForgotten = travel(410, Changes.ChangesForgotten, "changes_forgotten", { position: Schema.String })
export const stampReused = travel(409, QuorumError.StampReused, "stamp_reused", { held: WriteId.WriteId })
export const tooOldToKnow = travel(410, QuorumError.TooOldToKnow, "too_old_to_know", {
  ageMillis: Schema.Finite,
  horizonMillis: Schema.Finite
})
export const writeTooLarge = rejected(413, "too_large")
export const unsupportedMediaType = travel(415, Errors.UnsupportedMediaType, "unsupported_media_type", {
  contentType: Schema.String
})
export const idempotencyKeyReused = travel(422, QuorumError.IdempotencyKeyReused, "idempotency_key_reused", {
  held: WriteId.WriteId
})
export const rateLimited = travel(429, Errors.RateLimited, "rate_limited", {})
export const writeUncertain = travel(
  500,
  QuorumError.WriteUncertain,
  "write_uncertain",
  {},
  {
    message: () => "this replica cannot say whether the write took place; its log says why",
    rest: logSaysMore
  }
)
export const quorumUnavailable = travel(503, QuorumError.QuorumUnavailable, "quorum_unavailable", {
  alive: Schema.Int,
  needed: Schema.Int,
  reason: QuorumError.UnavailableReason,
  ...verdicts
})
export const idempotencyUnknown = travel(503, QuorumError.IdempotencyUnknown, "idempotency_unknown", detail)
export const localWriteFailed = travel(
  503,
  QuorumError.LocalWriteFailed,
  "local_write_failed",
  {},
  {
    message: () => "this replica cannot append to its store now, its log says why; nothing was written, safe to retry",
    rest: logSaysMore
  }
)
export const overloaded = travel(503, QuorumError.Overloaded, "overloaded", detail)
export const replicaClosing = travel(503, QuorumError.ReplicaClosing, "replica_closing", {})
export const notReady = travel(503, QuorumError.NotReady, "not_ready", detail)
export const notYetVisible = travel(503, Records.NotYetVisible, "not_yet_visible", ids)
export const readUnavailable = travel(503, QuorumError.ReadUnavailable, "read_unavailable", {
  answered: Schema.Int,
  needed: Schema.Int,
  reason: QuorumError.UnavailableReason,
  ...verdicts
})
export const storeFailed = travel(
  503,
  ReplicaStore.StoreError,
  "store_failed",
  { reason: ReplicaStore.StoreErrorReason },
  {
    message: ({ reason }) =>
      reason === "corrupt"
        ? "what this replica holds of it is damaged until it is mended from another replica; ask another; its log says more"
        : "this replica cannot read its store now; its log says why",
    rest: logSaysMore
  }
)
export const logDamaged = travel(503, Changes.LogDamaged, "log_damaged", {
  log: LogId.LogId,
  from: LogId.Sequence,
  to: LogId.Sequence
})
export const unhealthy = travel(503, Errors.Unhealthy, "unhealthy", { reason: ReplicaStore.StoreErrorReason })
export const quorumNotMet = travel(504, QuorumError.QuorumNotMet, "quorum_not_met", {
  got: Schema.Int,
  needed: Schema.Int,
  reason: QuorumError.Reason,
  ...ids,
  ...verdicts
})

export const diskLow = travel(507, QuorumError.DiskLow, "disk_low", {
  leftBytes: Schema.Int,
  reserveBytes: Schema.Int
})

/** All rows. */
export const rows = [
  invalidRequest,
  writeInvalid,
  unauthorized,
  forbidden,
  recordNotFound,
  writeUnknown,
  notAcceptable,
  writeReplaced,
  writeCompacted,
  changesForgotten,
  stampReused,
  tooOldToKnow,
  writeTooLarge,
  unsupportedMediaType,
  idempotencyKeyReused,
  rateLimited,
  writeUncertain,
  quorumUnavailable,
  idempotencyUnknown,
  localWriteFailed,
  overloaded,
  replicaClosing,
  notReady,
  notYetVisible,
  readUnavailable,
  storeFailed,
  logDamaged,
  unhealthy,
  quorumNotMet,
  diskLow
] as const

/** What a client may see of an error, and the status with which a request of its own would have been answered. */
export const problemOf = (error: Error): { readonly status: number; readonly problem: object } => {
  const all: ReadonlyArray<Pick<Travel, "is" | "status" | "toBody">> = rows
  const row = all.find(({ is }) => is(error))
  return row === undefined
    ? { status: 500, problem: Problem.members(500, "internal", internal, {}) }
    : { status: row.status, problem: row.toBody(error) }
}

/** What a client is told of what nobody has foreseen. */
export const internal = "something went wrong here; this replica's log says what"
