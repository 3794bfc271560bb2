/**
 * The part of the client API that is about writes and their receipts.
 */
import { type QuorumError, Receipt, WriteId } from "@quorum/core"
import type { ReplicaStore } from "@quorum/core/adapter"
import type { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import * as Errors from "./ClientApiErrors.ts"
import { whole } from "./numbers.ts"
import * as openApi from "./openApi.ts"

/** What may be answered instead of what was asked about a write. */
export type WriteError =
  | QuorumError.QuorumNotMet
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
  .annotateMerge(OpenApi.annotations({ description: "Writes, by their ids." })) {}

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
  .annotateMerge(OpenApi.annotations({ description: "Receipts, checked again." })) {}
