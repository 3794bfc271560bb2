/**
 * The part of the client API that is about writes and their receipts.
 */
import { type QuorumError, Receipt, StampToken, WriteId } from "@quorum/core"
import type { ReplicaStore } from "@quorum/core/adapter"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import * as Errors from "./ClientApiErrors.ts"
import { whole } from "./queries.ts"
import * as Sessions from "./sessions.ts"
import * as openApi from "./openApi.ts"

/** What may be answered instead of what was asked about a write. */
export type WriteError =
  | QuorumError.LocalWriteFailed
  | QuorumError.NotReady
  | QuorumError.Overloaded
  | QuorumError.DiskLow
  | QuorumError.QuorumNotMet
  | QuorumError.QuorumUnavailable
  | QuorumError.ReplicaClosing
  | QuorumError.StampReused
  | QuorumError.IdempotencyKeyReused
  | QuorumError.IdempotencyUnknown
  | QuorumError.TooOldToKnow
  | QuorumError.WriteCompacted
  | QuorumError.WriteUncertain
  | QuorumError.WriteRejected
  | QuorumError.WriteReplaced
  | QuorumError.WriteUnknown
  | ReplicaStore.StoreError

/** How many replicas have to hold this write, instead of what the policy says: 1 to n. */
export const w = whole(openApi.bounds.w)

/** A receipt. */
export const receipt: Schema.Codec<Receipt.Receipt, unknown> = Receipt.Receipt

/** Writes, by their ids. */
export class WritesGroup extends HttpApiGroup.make("writes")
  .add(
    HttpApiEndpoint.get("status", "/v1/writes/:id", {
      params: { id: WriteId.WriteId },
      success: Receipt.WriteStatus,
      error: Errors.ofWriteStatus
    }).annotateMerge(OpenApi.annotations({ summary: "What is known about a write" })),
    HttpApiEndpoint.post("resume", "/v1/writes/:id/resume", {
      params: { id: WriteId.WriteId },
      query: { w },
      headers: Sessions.asked,
      success: receipt,
      error: Errors.ofResume
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Wait for the quorum of a write",
        description: "For a write that was answered with `quorum_not_met`, or to reach further than its receipt says."
      })
    )
  )
  .middleware(Errors.InvalidRequests)
  .middleware(Errors.StrictRequests)
  .middleware(Errors.NeedsToken)
  .annotateMerge(OpenApi.annotations({ description: "Writes, by their ids." })) {}

/** The keys that a stamp is for, or that stamps are. */
export const Keys = Schema.Struct({
  keys: Schema.NonEmptyArray(Schema.Struct({ namespace: Schema.String, key: Schema.String }))
})

/** Stamps of writes that may be repeated. */
export class StampsGroup extends HttpApiGroup.make("stamps")
  .add(
    HttpApiEndpoint.post("draw", "/v1/stamps", {
      headers: Sessions.asked,
      payload: Keys,
      success: Schema.Struct({ stamp: StampToken.StampToken }).pipe(HttpApiSchema.status(201)),
      error: Errors.ofCommit
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Draw a stamp for a write that may be repeated",
        description:
          "Name the key that will be written. A PUT or a DELETE with the header `Quorum-Stamp` may then be sent any " +
          "number of times, to any replica: it is one write. Several keys are those of one atomic batch."
      })
    ),
    HttpApiEndpoint.post("drawEach", "/v1/stamps/each", {
      headers: Sessions.asked,
      payload: Keys,
      success: Schema.Struct({ stamps: Schema.Array(StampToken.StampToken) }).pipe(HttpApiSchema.status(201)),
      error: Errors.ofCommit
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Draw a stamp for each of many writes that may be repeated",
        description:
          "As a stamp of one key, for each of the keys and in their order: they are for the lines of a batch."
      })
    )
  )
  .middleware(Errors.InvalidRequests)
  .middleware(Errors.StrictRequests)
  .middleware(Errors.NeedsToken)
  .annotateMerge(OpenApi.annotations({ description: "Stamps of writes that may be repeated." })) {}

/** Receipts, checked again. */
export class ReceiptsGroup extends HttpApiGroup.make("receipts")
  .add(
    HttpApiEndpoint.post("verify", "/v1/receipts/verify", {
      payload: receipt,
      success: Receipt.Verification,
      error: Errors.ofVerify
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Ask the replicas of today for the copies of a write",
        description: "The body is a receipt, as it was answered. Each replica looks at its own store."
      })
    )
  )
  .middleware(Errors.InvalidRequests)
  .middleware(Errors.StrictRequests)
  .middleware(Errors.NeedsToken)
  .annotateMerge(OpenApi.annotations({ description: "Receipts, checked again." })) {}
