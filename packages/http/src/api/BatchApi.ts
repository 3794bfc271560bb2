/**
 * The part of the client API that takes many writes in one request, each a line of JSON, and answers each with a line.
 */
import { ClientSession, type Receipt, StampToken } from "@quorum/core"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import * as Errors from "./ClientApiErrors.ts"
import { receipt, w } from "./WritesApi.ts"
import { keyed, stamped, yesOrNo } from "./queries.ts"
import { maxLineBytes } from "./requestLines.ts"
import * as Sessions from "./sessions.ts"

/** Text that is UTF-8 without a loss. */
const WellFormed = Schema.String.check(
  Schema.makeFilter((text) => text.isWellFormed(), { expected: "text without lone surrogates" })
)

/**
 * A write as a line: its value is one of `value`, in base64, `text` and `json`; or it is a delete. The type of `json` is
 * `application/json` unless given. With a stamp that was drawn for its key it may be sent again, to any replica.
 */
export const BatchLine = Schema.Struct({
  namespace: Schema.String,
  key: Schema.String,
  value: Schema.optionalKey(Schema.Uint8ArrayFromBase64),
  text: Schema.optionalKey(WellFormed),
  json: Schema.optionalKey(Schema.Json),
  contentType: Schema.optionalKey(Schema.String),
  delete: Schema.optionalKey(Schema.Literal(true)),
  stamp: Schema.optionalKey(StampToken.StampToken)
}).check(
  Schema.makeFilter(
    (line) =>
      ["value", "text", "json", "delete"].filter((name) => Object.hasOwn(line, name)).length === 1 ||
      "it needs one of `value`, `text`, `json` and `delete`, and no other of them beside it"
  )
)

/** What became of the write of a line: its receipt, or what a request of its own would have been answered with. */
export interface BatchAnswer {
  /** The first line is 1. Empty lines are not counted. */
  readonly line: number
  /** As of a request of its own: 201 with a receipt. */
  readonly status: number
  readonly receipt?: Receipt.Receipt
  /** `{ error, message, … }`. */
  readonly problem?: { readonly [field: string]: Schema.Json }
  /** What the client did and saw, after this line and all before it; in the last of the lines that are answered at once. */
  readonly session?: ClientSession.ClientSession
}

/** The answer to a line, as it travels. */
export const BatchAnswer: Schema.Codec<BatchAnswer, unknown> = Schema.Struct({
  line: Schema.Int,
  status: Schema.Int,
  receipt: Schema.optionalKey(receipt),
  problem: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json)),
  session: Schema.optionalKey(ClientSession.FromText)
})

/** Many writes. */
export class BatchGroup extends HttpApiGroup.make("batch")
  .add(
    HttpApiEndpoint.post("commit", "/v1/batch", {
      query: { w, atomic: yesOrNo },
      headers: { ...stamped, ...keyed, ...Sessions.asked },
      payload: HttpApiSchema.StreamNdjson({ schema: Schema.Json, maxElementBytes: maxLineBytes }),
      success: HttpApiSchema.StreamNdjson({ schema: BatchAnswer }),
      error: Errors.ofBatch
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Write many records",
        description:
          "Each line is a write, `{ namespace, key, value }` with a value in base64, or with `text` or `json` instead, or " +
          "with `delete: true`. Each is answered by a line as soon as it and those before it are, in their order: a " +
          "receipt, or what a request of its own would have been answered with; those that follow are not held up by " +
          "it. With `atomic=true` all lines are one write, which is held whole or not at all, and answered by one line. What " +
          "has a stamp may be sent again, to any replica: a line says its own, and the header `Quorum-Stamp` that of an " +
          "atomic batch, which may have an `Idempotency-Key` instead. With the header `Quorum-Session` all of them come after what its client did and saw; the " +
          "last line that comes with a `session` says what to send next."
      })
    )
  )
  .middleware(Errors.InvalidRequests)
  .middleware(Errors.StrictRequests)
  .middleware(Errors.NeedsToken)
  .annotateMerge(OpenApi.annotations({ description: "Many writes in one request." })) {}
