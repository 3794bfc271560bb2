/**
 * The part of the client API that shows what has changed, line by line or as server-sent events, and goes on with what
 * is written later.
 */
import { Changes, HybridLogicalClock, type QuorumError, WriteId } from "@quorum/core"
import type { ReplicaStore } from "@quorum/core/adapter"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import * as Errors from "./ClientApiErrors.ts"
import * as openApi from "./openApi.ts"
import * as Sessions from "./sessions.ts"

/** What may be answered instead of changes. */
export type FeedError =
  | Changes.ChangesForgotten
  | Changes.LogDamaged
  | QuorumError.NotReady
  | QuorumError.Overloaded
  | QuorumError.ReplicaClosing
  | QuorumError.WriteReplaced
  | ReplicaStore.StoreError
  | Errors.NotAcceptable

/** A position as it travels: opaque text. */
const Position = Schema.toEncoded(Changes.Position)

/**
 * A write of a key. It says its value as a line of a batch does: `json` where it is JSON, `text` where its type says that
 * it is text, or `value` in base64; or `delete`. The last of several that were read at once has the position after them.
 */
export const ChangeLine = Schema.Struct({
  namespace: Schema.String,
  key: Schema.String,
  value: Schema.optionalKey(Schema.String),
  text: Schema.optionalKey(Schema.String),
  json: Schema.optionalKey(Schema.Json),
  contentType: Schema.optionalKey(Schema.String),
  delete: Schema.optionalKey(Schema.Literal(true)),
  writeId: WriteId.WriteId,
  clock: HybridLogicalClock.HybridLogicalClock,
  tie: Schema.String,
  position: Schema.optionalKey(Position)
})

/** Nothing has changed, and this is how far was looked. It comes at once, and every {@link idleMillis} of quiet. */
export const QuietLine = Schema.Struct({ position: Position })

/** Why there is no further line. */
export const EndLine = Schema.Struct({ problem: Schema.Record(Schema.String, Schema.Json) })

/** All that was asked for has been shown. An answer that ends without it, or an {@link EndLine}, was cut off on its way. */
export const DoneLine = Schema.Struct({ done: Schema.Literal(true) })

/** A line of the answer. */
export const FeedLine = Schema.Union([ChangeLine, QuietLine, EndLine, DoneLine])

/** A line of the answer. */
export type FeedLine = typeof FeedLine.Type

/** How long it is quiet before a line says that the replica lives, in milliseconds. */
export const idleMillis = 15_000

/** How many feeds one replica serves at once: each of them looks at every write that comes. */
export const maxFeeds = 1000

/** The type of server-sent events. */
export const eventStream = "text/event-stream"

/** What has changed. */
export class ChangesGroup extends HttpApiGroup.make("changes")
  .add(
    HttpApiEndpoint.get("follow", "/v1/changes", {
      query: {
        since: Schema.optionalKey(Changes.Position),
        namespace: Schema.optionalKey(Schema.String),
        prefix: Schema.optionalKey(Schema.String),
        until: Schema.optionalKey(Schema.Literal("now"))
      },
      headers: { "last-event-id": Schema.optionalKey(Changes.Position), ...Sessions.asked },
      success: HttpApiSchema.StreamNdjson({ schema: FeedLine }),
      error: Errors.ofChanges
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Follow what is written",
        transform: openApi.alsoAs(eventStream),
        description:
          "The writes that this replica durably holds, in the order of each log, and then those to come; with `until=now` " +
          "it ends with what is there, and `done` in the last line says that nothing of it was cut off. A line for each, `position` in the last of those that were read at once: give it " +
          "as `since` to go on after any break, at any replica, and every write is seen at least once. With `Accept: " +
          "text/event-stream` the same as server-sent events, with the position as their id, so that a browser goes on by " +
          "itself. When it is quiet a line says how far was looked. `problem` in the last line says why there is no further " +
          `one. A replica serves ${maxFeeds} feeds at once, and answers \`overloaded\` to others: they go on at another one.`
      })
    )
  )
  .middleware(Errors.InvalidRequests)
  .middleware(Errors.StrictRequests)
  .middleware(Errors.NeedsToken)
  .annotateMerge(OpenApi.annotations({ description: "What has changed." })) {}
