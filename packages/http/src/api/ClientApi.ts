/**
 * The client API: put, get, delete and list records, ask about a write, and the status of a replica.
 *
 * Only schemas, so that a client can share it. The server is `ClientApiServer`, a typed client `ClientApiClient`, and
 * the same schemas make the OpenAPI document at `/openapi.json`.
 */
import { HttpApi, OpenApi } from "effect/http-api"
import { BatchGroup } from "./BatchApi.ts"
import { ChangesGroup, type FeedError } from "./ChangesApi.ts"
import type * as Errors from "./ClientApiErrors.ts"
import * as openApi from "./openApi.ts"
import { type ReadsError, ReadsGroup } from "./ReadsApi.ts"
import { type RecordsError, RecordsGroup } from "./RecordsApi.ts"
import { type ReplicaError, ReplicaGroup } from "./ReplicaApi.ts"
import { ReceiptsGroup, StampsGroup, type WriteError, WritesGroup } from "./WritesApi.ts"

export { BatchAnswer, BatchGroup, BatchLine } from "./BatchApi.ts"
export { ChangesGroup, FeedLine } from "./ChangesApi.ts"
export {
  Cursor,
  DamagedRecordJson,
  KeyPage,
  NamespaceCount,
  NamespacePage,
  RecordJson,
  RecordPage
} from "./RecordPages.ts"
export { ReadAnswer, ReadLine, ReadsGroup } from "./ReadsApi.ts"
export { type RecordsError, RecordsGroup } from "./RecordsApi.ts"
export { ReplicaGroup } from "./ReplicaApi.ts"
export { ReceiptsGroup, StampsGroup, WritesGroup } from "./WritesApi.ts"

/** What the API may answer instead of what was asked for: core's errors, and some of its own. */
export type ClientApiError =
  | Errors.CoreError
  | Errors.OwnError
  | RecordsError
  | ReadsError
  | WriteError
  | FeedError
  | ReplicaError

/** The whole API. */
export class ClientApi extends HttpApi.make("quorum")
  .add(RecordsGroup, ReadsGroup, BatchGroup, ChangesGroup, WritesGroup, StampsGroup, ReceiptsGroup, ReplicaGroup)
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
