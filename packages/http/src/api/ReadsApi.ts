/**
 * The part of the client API that takes many reads in one request, each a line of JSON, and answers each with a line.
 */
import { ClientSession, type QuorumError, type Records } from "@quorum/core"
import type { ReplicaStore } from "@quorum/core/adapter"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import * as Errors from "./ClientApiErrors.ts"
import { RecordJson } from "./RecordPages.ts"
import { consistency } from "./queries.ts"
import { maxLineBytes } from "./requestLines.ts"
import * as Sessions from "./sessions.ts"

/** What may be answered instead of lines, of core's errors. */
export type ReadsError = QuorumError.WriteReplaced | Records.NotYetVisible | ReplicaStore.StoreError

/** A read as a line. */
export const ReadLine = Schema.Struct({ namespace: Schema.String, key: Schema.String })

/** The answer to a line: its record, or what a request of its own would have been answered with. */
export const ReadAnswer = Schema.Struct({
  /** The first line is 1. Empty lines are not counted. */
  line: Schema.Int,
  /** As of a request of its own: 200 with a record. */
  status: Schema.Int,
  record: Schema.optionalKey(Schema.toCodecJson(RecordJson)),
  /** `{ error, message, … }`. */
  problem: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json)),
  /** What the client did and saw, after this line and all before it; in the last of the lines that are answered at once. */
  session: Schema.optionalKey(ClientSession.FromText)
})

/** Many reads. */
export class ReadsGroup extends HttpApiGroup.make("reads")
  .add(
    HttpApiEndpoint.post("read", "/v1/reads", {
      query: consistency,
      headers: Sessions.asked,
      payload: HttpApiSchema.StreamNdjson({ schema: ReadLine, maxElementBytes: maxLineBytes }),
      success: HttpApiSchema.StreamNdjson({ schema: ReadAnswer }),
      error: Errors.ofReads
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Read many records",
        description:
          "Each line is `{ namespace, key }`, and is answered by a line, in their order: the record, with its value in " +
          "base64, or what a request of its own would have been answered with; those that follow are not held up by it. " +
          "`consistency` and `r` are those of a read of one record, for each line. With the header `Quorum-Session` all " +
          "of them come after what its client did and saw; the last line that comes with a `session` says what to send next."
      })
    )
  )
  .middleware(Errors.InvalidRequests)
  .middleware(Errors.StrictRequests)
  .middleware(Errors.NeedsToken)
  .annotateMerge(OpenApi.annotations({ description: "Many reads in one request." })) {}
