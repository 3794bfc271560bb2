/**
 * The client API: put, get, delete and list records, ask about a write, and the status of a replica.
 *
 * Only schemas, so that a client can share it. The server is `ClientApiServer`, a typed client `ClientApiClient`, and
 * the same schemas make the OpenAPI document at `/openapi.json`.
 */
import {
  HybridLogicalClock,
  LogId,
  WriteId,
  QuorumError,
  QuorumPolicy,
  Receipt,
  type Records,
  ReplicaId
} from "@quorum/core"
import { ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Schema, SchemaTransformation } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import * as Errors from "./ClientApiErrors.ts"

/** What the API may answer instead of what was asked for: core's errors, and two of its own. */
export type ClientApiError =
  | QuorumError.QuorumNotMet
  | QuorumError.QuorumUnavailable
  | QuorumError.LocalWriteFailed
  | QuorumError.WriteRejected
  | QuorumError.WriteUnknown
  | QuorumError.Overloaded
  | QuorumError.ReplicaClosing
  | QuorumError.NotReady
  | QuorumError.WriteUncertain
  | Records.NotYetVisible
  | ReplicaStore.StoreError
  | Errors.RecordNotFound
  | Errors.InvalidRequest

/** Where a page of records goes on: opaque text, made of the namespace and key of the last record seen. */
export const Cursor = Schema.StringFromBase64Url.check(
  Schema.isPattern(/^[^\0]+\0[^\0]+$/, { expected: "the `next` of an earlier page" })
).pipe(
  Schema.decodeTo(
    Schema.Struct({ namespace: Schema.String, key: Schema.String }),
    SchemaTransformation.transform({
      decode: (text) => {
        const end = text.indexOf("\0")
        return { namespace: text.slice(0, end), key: text.slice(end + 1) }
      },
      encode: ({ key, namespace }) => `${namespace}\0${key}`
    })
  )
)

/** A record as JSON; the value is base64. */
export const RecordJson = Schema.Struct({
  namespace: Schema.String,
  key: Schema.String,
  value: Schema.Uint8Array,
  writeId: WriteId.WriteId,
  clock: HybridLogicalClock.HybridLogicalClock
})

/** A page of records in the order of namespace and key. It may be shorter than asked for; without `next` it is the last. */
export const RecordPage = Schema.Struct({ records: Schema.Array(RecordJson), next: Schema.optionalKey(Cursor) })

/** What a replica knows about one of its peers. Times are milliseconds since the epoch. */
export const PeerStatus = Schema.Struct({
  replica: ReplicaId.ReplicaId,
  link: Schema.Literals(["connecting", "up", "down"]),
  /** Since when the link is up, or when the first of the failed tries in a row was; null while connecting. */
  since: Schema.NullOr(Schema.Finite),
  /** Why the link is down; null otherwise. */
  verdict: Schema.NullOr(QuorumError.Verdict),
  detail: Schema.NullOr(Schema.String),
  /** How far the peer holds the log of the replica that answers, and how many entries it is behind. */
  watermark: LogId.Sequence,
  lag: LogId.Sequence,
  /** The logs of which the peer's copy differs; an operator has to look. */
  drifted: Schema.Array(LogId.LogId),
  /** The peer's clock minus this replica's; null before the first handshake. */
  clockSkewMillis: Schema.NullOr(Schema.Finite)
})

/** The state of a replica. */
export const Status = Schema.Struct({
  identity: ReplicaStore.StoreIdentity,
  /** The log that this replica writes. */
  log: LogId.LogId,
  protocolVersion: Schema.Int,
  /** The policy of writes whose namespace has none of its own. */
  policy: QuorumPolicy.QuorumPolicy,
  vector: Watermark.VersionVector,
  peers: Schema.Array(PeerStatus)
})

const place = { namespace: Schema.String, key: Schema.String }

/** How many replicas have to hold this write, instead of what the policy says: 1 to n. */
const w = Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)))

const bytes = Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array())

/** Records: bytes by namespace and key. */
export class RecordsGroup extends HttpApiGroup.make("records")
  .add(
    HttpApiEndpoint.put("put", "/v1/records/:namespace/:key", {
      params: place,
      query: { w },
      payload: bytes,
      success: Receipt.Receipt.pipe(HttpApiSchema.status(201)),
      error: Errors.ofCommit
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Write a record",
        description: "The body is the value, whatever its content type. Answered when `w` replicas hold it durably."
      })
    ),
    HttpApiEndpoint.get("get", "/v1/records/:namespace/:key", {
      params: place,
      query: {
        atLeast: Schema.optionalKey(WriteId.WriteId),
        withinMillis: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60_000 })))
      },
      success: HttpApiSchema.WithHeaders(bytes, { "quorum-write-id": WriteId.WriteId }),
      error: Errors.ofRead
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Read a record",
        description:
          "The newest value that this replica holds. With `atLeast`, a write id, waits until that write is visible here."
      })
    ),
    HttpApiEndpoint.delete("remove", "/v1/records/:namespace/:key", {
      params: place,
      query: { w },
      success: Receipt.Receipt,
      error: Errors.ofCommit
    }).annotateMerge(
      OpenApi.annotations({ summary: "Delete a record", description: "A delete is a write like any other." })
    ),
    HttpApiEndpoint.get("list", "/v1/records", {
      query: {
        after: Schema.optionalKey(Cursor),
        limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })))
      },
      success: RecordPage,
      error: Errors.ofPage
    }).annotateMerge(
      OpenApi.annotations({
        summary: "List records",
        description: "A page of the records that this replica holds; pass `next` as `after` until there is none."
      })
    )
  )
  .middleware(Errors.InvalidRequests) {}

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
      success: Receipt.Receipt,
      error: Errors.ofResume
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Wait for the quorum of a write",
        description: "For a write that was answered with `quorum_not_met`, or to reach further than its receipt says."
      })
    )
  )
  .middleware(Errors.InvalidRequests) {}

/** The replica itself. */
export class ReplicaGroup extends HttpApiGroup.make("replica", { topLevel: true }).add(
  HttpApiEndpoint.get("status", "/v1/status", { success: Status }).annotateMerge(
    OpenApi.annotations({ summary: "The state of the replica and of its peers, as it sees them" })
  ),
  HttpApiEndpoint.get("healthz", "/healthz", {
    success: Schema.Struct({ status: Schema.Literal("ok") })
  }).annotateMerge(OpenApi.annotations({ summary: "Whether the process answers" }))
) {}

/** The whole API. */
export class ClientApi extends HttpApi.make("quorum")
  .add(RecordsGroup, WritesGroup, ReplicaGroup)
  .annotateMerge(
    OpenApi.annotations({
      title: "Quorum",
      version: "1",
      description:
        "Durable writes on W of N replicas. Every error is `{ error, message, … }`; every 503 says when to retry."
    })
  ) {}
