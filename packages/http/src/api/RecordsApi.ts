/**
 * The part of the client API that is about records: put, get, delete, lists and counts.
 */
import { type QuorumError, type Receipt, type Records, WriteId } from "@quorum/core"
import type { ReplicaStore } from "@quorum/core/adapter"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import * as Errors from "./ClientApiErrors.ts"
import * as openApi from "./openApi.ts"
import { consistency, keyed, stamped, whole, yesOrNo } from "./queries.ts"
import { Cursor, KeyPage, NamespaceCount, NamespacePage, RecordPage } from "./RecordPages.ts"
import * as Sessions from "./sessions.ts"
import { receipt, w } from "./WritesApi.ts"

/** What may be answered instead of what was asked about records, of core's errors. */
export type RecordsError =
  | QuorumError.LocalWriteFailed
  | QuorumError.NotReady
  | QuorumError.Overloaded
  | QuorumError.DiskLow
  | QuorumError.QuorumNotMet
  | QuorumError.QuorumUnavailable
  | QuorumError.ReadUnavailable
  | QuorumError.ReplicaClosing
  | QuorumError.StampReused
  | QuorumError.IdempotencyKeyReused
  | QuorumError.IdempotencyUnknown
  | QuorumError.TooOldToKnow
  | QuorumError.WriteCompacted
  | QuorumError.WriteRejected
  | QuorumError.WriteReplaced
  | QuorumError.WriteUncertain
  | Records.NotYetVisible
  | ReplicaStore.StoreError

const place = { namespace: Schema.String, key: Schema.String }

/** Which records of a namespace are meant. */
const some = {
  prefix: Schema.optionalKey(Schema.String),
  from: Schema.optionalKey(Schema.String),
  to: Schema.optionalKey(Schema.String)
}

/** Which part of them is listed. */
const part = {
  ...some,
  reverse: yesOrNo,
  after: Schema.optionalKey(Cursor),
  limit: whole(openApi.bounds.limit)
}

const bytes = Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array())

const created: Schema.Codec<Receipt.Receipt, unknown> = receipt.pipe(HttpApiSchema.status(201))

/** Records: bytes by namespace and key. */
export class RecordsGroup extends HttpApiGroup.make("records")
  .add(
    HttpApiEndpoint.put("put", "/v1/records/:namespace/:key", {
      params: place,
      query: { w },
      headers: { ...stamped, ...keyed, ...Sessions.asked },
      payload: bytes,
      success: created,
      error: Errors.ofCommit
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Write a record",
        description:
          "The body is the value, whatever its content type, which stays with it. Answered when `w` replicas hold it durably. " +
          "With `Quorum-Stamp` it may be sent again, to any replica. With `Idempotency-Key` alone it is found again where it " +
          "is held, and is written for the first time only when every replica says that it does not hold it."
      })
    ),
    HttpApiEndpoint.get("get", "/v1/records/:namespace/:key", {
      params: place,
      query: {
        atLeast: Schema.optionalKey(WriteId.WriteId),
        withinMillis: whole(openApi.bounds.withinMillis),
        ...consistency
      },
      headers: Sessions.asked,
      success: HttpApiSchema.WithHeaders(bytes, { "quorum-write-id": WriteId.WriteId, etag: Schema.String }),
      error: Errors.ofRead
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Read a record",
        transform: openApi.orNotModified,
        description:
          "The newest value that this replica holds. With `atLeast`, a write id, waits until that write is visible here. " +
          "With `consistency=quorum` the newest that `r` replicas hold, a majority unless given; with `linearizable` the " +
          "newest that a majority knows of, once a majority holds it durably. The entity tag is the write id in quotes: " +
          "with `If-None-Match` the answer is 304 while it is the newest. The type is the one that it was written with."
      })
    ),
    HttpApiEndpoint.delete("remove", "/v1/records/:namespace/:key", {
      params: place,
      query: { w },
      headers: { ...stamped, ...keyed, ...Sessions.asked },
      success: receipt,
      error: Errors.ofCommit
    }).annotateMerge(
      OpenApi.annotations({ summary: "Delete a record", description: "A delete is a write like any other." })
    ),
    HttpApiEndpoint.get("list", "/v1/records", {
      query: {
        after: Schema.optionalKey(Cursor),
        limit: whole(openApi.bounds.limit)
      },
      headers: Sessions.asked,
      success: RecordPage,
      error: Errors.ofPage
    }).annotateMerge(
      OpenApi.annotations({
        summary: "List records",
        description:
          "A page of the records that this replica holds; pass `next` as `after` until there is none. `damaged` names " +
          "the records of the page that cannot be read on this replica; others may have them."
      })
    ),
    HttpApiEndpoint.get("listNamespace", "/v1/records/:namespace", {
      params: { namespace: Schema.String },
      query: part,
      headers: Sessions.asked,
      success: RecordPage,
      error: Errors.ofPage
    }).annotateMerge(
      OpenApi.annotations({
        summary: "List or export the records of a namespace",
        transform: openApi.alsoAs("application/x-ndjson"),
        description:
          "As the list of all records, for those of a namespace whose keys begin with `prefix` and are not before `from` " +
          "but before `to`, in the order of the bytes of their keys; with `reverse=true` from the last to the first. With " +
          "`Accept: application/x-ndjson` all of them, or `limit`, as lines that a batch takes; `damaged`, `unreadable` " +
          "and `problem` are lines that say what is missing."
      })
    ),
    HttpApiEndpoint.get("listKeys", "/v1/keys/:namespace", {
      params: { namespace: Schema.String },
      query: part,
      headers: Sessions.asked,
      success: KeyPage,
      error: Errors.ofPage
    }).annotateMerge(
      OpenApi.annotations({
        summary: "List the keys of a namespace",
        description:
          "As the list of its records, without their values: no value is read, so none is found to be damaged."
      })
    ),
    HttpApiEndpoint.get("listNamespaces", "/v1/namespaces", {
      query: { after: Schema.optionalKey(Schema.String), limit: whole(openApi.bounds.limit) },
      headers: Sessions.asked,
      success: NamespacePage,
      error: Errors.ofPage
    }).annotateMerge(
      OpenApi.annotations({
        summary: "List the namespaces that have records",
        description: "In the order of the bytes of their names; pass `next` as `after` until there is none."
      })
    ),
    HttpApiEndpoint.get("countNamespace", "/v1/namespaces/:namespace", {
      params: { namespace: Schema.String },
      query: some,
      headers: Sessions.asked,
      success: NamespaceCount,
      error: Errors.ofPage
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Count the records of a namespace",
        description: "Those that a list of the same part would have. All their keys are passed over."
      })
    )
  )
  .middleware(Errors.InvalidRequests)
  .middleware(Errors.StrictRequests)
  .middleware(Errors.NeedsToken)
  .annotateMerge(OpenApi.annotations({ description: "Records: bytes by namespace and key." })) {}
