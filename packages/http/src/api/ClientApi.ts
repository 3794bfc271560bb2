/**
 * The client API: put, get, delete and list records, ask about a write, and the status of a replica.
 *
 * Only schemas, so that a client can share it. The server is `ClientApiServer`, a typed client `ClientApiClient`, and
 * the same schemas make the OpenAPI document at `/openapi.json`.
 */
import {
  type Receipt,
  LogId,
  HybridLogicalClock,
  type QuorumError,
  type Records,
  WriteId,
  ReplicaStatus
} from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Schema, SchemaTransformation } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { BatchGroup } from "./BatchApi.ts"
import { ChangesGroup, type FeedError } from "./ChangesApi.ts"
import * as Errors from "./ClientApiErrors.ts"
import { keyed, stamped, whole, yesOrNo } from "./queries.ts"
import * as Sessions from "./sessions.ts"
import * as openApi from "./openApi.ts"
import { receipt, ReceiptsGroup, StampsGroup, w, type WriteError, WritesGroup } from "./WritesApi.ts"

export { BatchAnswer, BatchGroup, BatchLine } from "./BatchApi.ts"
export { ChangesGroup, FeedLine } from "./ChangesApi.ts"
export { ReceiptsGroup, StampsGroup, WritesGroup } from "./WritesApi.ts"

/** What may be answered instead of what was asked about records, of core's errors. */
export type RecordsError =
  | QuorumError.LocalWriteFailed
  | QuorumError.NotReady
  | QuorumError.Overloaded
  | QuorumError.QuorumNotMet
  | QuorumError.QuorumUnavailable
  | QuorumError.ReadUnavailable
  | QuorumError.ReplicaClosing
  | QuorumError.StampReused
  | QuorumError.IdempotencyKeyReused
  | QuorumError.IdempotencyUnknown
  | QuorumError.TooOldToKnow
  | QuorumError.WriteRejected
  | QuorumError.WriteReplaced
  | QuorumError.WriteUncertain
  | Records.NotYetVisible
  | ReplicaStore.StoreError

/** What the API may answer instead of what was asked for: core's errors, and some of its own. */
export type ClientApiError = Errors.CoreError | Errors.OwnError | RecordsError | WriteError | FeedError

/** A byte order mark is a character of a name like any other. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The two names in a cursor; `undefined` for bytes that are none. */
const namesOf = (bytes: Uint8Array): readonly [string, string] | undefined => {
  try {
    const [namespace, key, ...rest] = utf8.decode(bytes).split("\0")
    return namespace && key && rest.length === 0 ? [namespace, key] : undefined
  } catch {
    return undefined
  }
}

/** Where a page of records goes on: opaque text, made of the namespace and key of the last record seen. */
export const Cursor = Schema.Uint8ArrayFromBase64Url.check(
  Schema.makeFilter((bytes) => namesOf(bytes) !== undefined, { expected: "the `next` of an earlier page" })
).pipe(
  Schema.decodeTo(
    Schema.Struct({ namespace: Schema.String, key: Schema.String }),
    SchemaTransformation.transform({
      decode: (bytes) => {
        const [namespace, key] = namesOf(bytes)!
        return { namespace, key }
      },
      encode: ({ key, namespace }) => new TextEncoder().encode(`${namespace}\0${key}`)
    })
  )
)

/** A record as JSON; the value is base64. */
export const RecordJson = Schema.Struct({
  namespace: Schema.String,
  key: Schema.String,
  value: Schema.Uint8Array,
  contentType: Schema.optionalKey(Schema.String),
  writeId: WriteId.WriteId,
  clock: HybridLogicalClock.HybridLogicalClock
})

/** A record that exists and is damaged on the replica that answers; others may have it. */
export const DamagedRecordJson = Schema.Struct({
  namespace: Schema.String,
  key: Schema.String,
  log: LogId.LogId,
  seq: LogId.Sequence
})

/** A page of records in the order of namespace and key. It may be shorter than asked for; without `next` it is the last. */
export const RecordPage = Schema.Struct({
  records: Schema.Array(RecordJson),
  /** What belongs on this page and cannot be read on this replica. */
  damaged: Schema.Array(DamagedRecordJson),
  /** Damaged entries of which this replica does not know the keys: they may be of any record, on this page or not. */
  unreadable: Schema.Array(ReplicaStore.DamagedRange),
  next: Schema.optionalKey(Cursor)
})

/** Names of namespaces that have records. */
export const NamespacePage = Schema.Struct({
  namespaces: Schema.Array(Schema.String),
  /** As of a page of records. */
  unreadable: Schema.Array(ReplicaStore.DamagedRange),
  next: Schema.optionalKey(Schema.String)
})

/** How many records a namespace, or a part of it, has. */
export const NamespaceCount = Schema.Struct({
  namespace: Schema.String,
  records: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  /** As of a page of records. */
  unreadable: Schema.Array(ReplicaStore.DamagedRange)
})

/** The keys of a page of records. */
export const KeyPage = Schema.Struct({
  keys: Schema.Array(Schema.Struct({ namespace: Schema.String, key: Schema.String })),
  /** As of a page of records. */
  unreadable: Schema.Array(ReplicaStore.DamagedRange),
  next: Schema.optionalKey(Cursor)
})

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
        consistency: Schema.optionalKey(Schema.Literals(["local", "quorum", "linearizable"])),
        r: whole(openApi.bounds.r)
      },
      headers: Sessions.asked,
      success: HttpApiSchema.WithHeaders(bytes, { "quorum-write-id": WriteId.WriteId, etag: Schema.String }),
      error: Errors.ofRead
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Read a record",
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

const Ok = Schema.Struct({ status: Schema.Literal("ok") })

/** The replica itself. */
export class ReplicaGroup extends HttpApiGroup.make("replica", { topLevel: true })
  .add(
    HttpApiEndpoint.get("status", "/v1/status", { success: ReplicaStatus.Status })
      .middleware(Errors.NeedsToken)
      .annotateMerge(OpenApi.annotations({ summary: "The state of the replica and of its peers, as it sees them" })),
    HttpApiEndpoint.get("healthz", "/healthz", { success: Ok, error: Errors.ofHealth }).annotateMerge(
      OpenApi.annotations({ summary: "Whether the replica works: the process answers, and its store does not fail" })
    ),
    HttpApiEndpoint.get("readyz", "/readyz", { success: Ok, error: Errors.ofReadiness }).annotateMerge(
      OpenApi.annotations({
        summary: "Whether writes can be committed here: the replica may append, and W members are up"
      })
    )
  )
  .middleware(Errors.InvalidRequests)
  .middleware(Errors.StrictRequests)
  .annotateMerge(OpenApi.annotations({ description: "The replica itself." })) {}

/** The whole API. */
export class ClientApi extends HttpApi.make("quorum")
  .add(RecordsGroup, BatchGroup, ChangesGroup, WritesGroup, StampsGroup, ReceiptsGroup, ReplicaGroup)
  .annotateMerge(
    OpenApi.annotations({
      title: "Quorum",
      transform: openApi.transform,
      version: "1",
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
      servers: [{ url: "/", description: "The replica that was asked for this document" }],
      description:
        "Durable writes on W of N replicas. Every error is problem details (RFC 9457) with `error` and `message`; every 503 " +
        "says when to retry."
    })
  ) {}
