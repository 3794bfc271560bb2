/**
 * The errors of the client API, by endpoint.
 *
 * Every error of every endpoint has the same shape (law L17): a status, a body of problem details (RFC 9457) with `error`
 * (what a program branches on), `message` (for people) and what else is known, and with every 503 a `Retry-After` header
 * in seconds. A typed client gets core's error classes back. What each of them is, is in `ProblemTable`.
 */
import type { Changes, QuorumError, Records } from "@quorum/core"
import type { ReplicaStore } from "@quorum/core/adapter"
import { HttpApiMiddleware } from "effect/http-api"
import type * as Own from "./ApiErrors.ts"
import { final, limited, unavailable, unmet } from "./ErrorTravel.ts"
import * as Table from "./ProblemTable.ts"

export {
  Forbidden,
  InvalidRequest,
  NotAcceptable,
  RateLimited,
  RecordNotFound,
  Unauthorized,
  Unhealthy,
  UnsupportedMediaType
} from "./ApiErrors.ts"

/** What the API says itself, and not core. */
export type OwnError =
  | Own.Forbidden
  | Own.InvalidRequest
  | Own.NotAcceptable
  | Own.RateLimited
  | Own.RecordNotFound
  | Own.Unauthorized
  | Own.Unhealthy
  | Own.UnsupportedMediaType

/** What core says. */
export type CoreError =
  | Changes.ChangesForgotten
  | Changes.LogDamaged
  | QuorumError.DiskLow
  | QuorumError.IdempotencyKeyReused
  | QuorumError.IdempotencyUnknown
  | QuorumError.LocalWriteFailed
  | QuorumError.NotReady
  | QuorumError.Overloaded
  | QuorumError.QuorumNotMet
  | QuorumError.QuorumUnavailable
  | QuorumError.ReadUnavailable
  | QuorumError.ReplicaClosing
  | QuorumError.StampReused
  | QuorumError.TooOldToKnow
  | QuorumError.WriteCompacted
  | QuorumError.WriteRejected
  | QuorumError.WriteReplaced
  | QuorumError.WriteUncertain
  | QuorumError.WriteUnknown
  | Records.NotYetVisible
  | ReplicaStore.StoreError

/** Every endpoint answers parameters that do not decode with 400 `invalid_request`, naming the field. */
export class InvalidRequests extends HttpApiMiddleware.Service<InvalidRequests>()(
  "@quorum/http/ClientApi/InvalidRequests",
  { error: final(Table.invalidRequest) }
) {}

/** Every endpoint refuses what it would not look at: see `RequestRules`. The answers are those of {@link InvalidRequests}. */
export class StrictRequests extends HttpApiMiddleware.Service<StrictRequests>()(
  "@quorum/http/ClientApi/StrictRequests"
) {}

/**
 * What needs a token, where there are some, and may not be asked too often, where that is limited: see `ClientTokens`,
 * which looks at requests before it is known what they are.
 */
export class NeedsToken extends HttpApiMiddleware.Service<NeedsToken>()("@quorum/http/ClientApi/NeedsToken", {
  error: [final(Table.unauthorized), final(Table.forbidden), limited(Table.rateLimited)]
}) {}

const notFound = final(Table.recordNotFound)
const unknown = final(Table.writeUnknown)
const replaced = final(Table.writeReplaced)
const compacted = final(Table.writeCompacted)
const tooLarge = final(Table.writeTooLarge)
const notMet = unmet(Table.quorumNotMet)

/** What a commit may be answered with instead of a receipt. */
export const ofCommit = [
  notMet,
  final(Table.writeUncertain),
  final(Table.stampReused),
  final(Table.tooOldToKnow),
  compacted,
  final(Table.idempotencyKeyReused),
  unavailable(
    Table.quorumUnavailable,
    Table.idempotencyUnknown,
    Table.localWriteFailed,
    Table.overloaded,
    Table.replicaClosing,
    Table.notReady
  ),
  final(Table.diskLow),
  final(Table.writeInvalid),
  tooLarge
] as const

/** What a batch may be answered with instead of lines. */
export const ofBatch = final(Table.unsupportedMediaType)

/** What a read of a record may be answered with instead of its value. */
export const ofRead = [
  notFound,
  replaced,
  unavailable(Table.notYetVisible, Table.storeFailed, Table.readUnavailable, Table.notReady)
] as const

/** What many reads may be answered with instead of lines. */
export const ofReads = [
  replaced,
  final(Table.unsupportedMediaType),
  unavailable(Table.notYetVisible, Table.storeFailed)
] as const

/** What a page may be answered with instead of records. */
export const ofPage = [replaced, unavailable(Table.notYetVisible, Table.storeFailed, Table.notReady)] as const

/** What changes may be answered with instead of lines. */
export const ofChanges = [
  final(Table.notAcceptable),
  replaced,
  final(Table.changesForgotten),
  unavailable(Table.logDamaged, Table.storeFailed, Table.notReady, Table.overloaded, Table.replicaClosing)
] as const

/** What a question about a write may be answered with. */
export const ofWriteStatus = [unknown, replaced, compacted, unavailable(Table.storeFailed)] as const

/** What a resumed write may be answered with instead of its receipt. */
export const ofResume = [unknown, replaced, compacted, notMet, unavailable(Table.storeFailed)] as const

/** What a receipt may be answered with instead of what became of its copies. */
export const ofVerify = [unknown, tooLarge] as const

/** What a question about the replica's health may be answered with. */
export const ofHealth = unavailable(Table.unhealthy)

/** What a question about its readiness may be answered with. */
export const ofReadiness = unavailable(Table.notReady)
