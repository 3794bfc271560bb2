/**
 * `POST /v1/recover`: has this replica wait no longer for members that will never come, and says what is lost by it. With
 * `"confirmed": true` alone is anything changed. Where there are tokens it needs one whose role is `admin`.
 */
import { ReplicaId, ReplicaStatus } from "@quorum/core"
import { Problem, ReplicaServer } from "@quorum/core/adapter"
import { type ClientApiServer, ClientTokens } from "@quorum/http"
import { ByteSize, Effect, Schema } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as ErrorAnswer from "./tools/ErrorAnswer.ts"

/** Where it is. */
export const path = "/v1/recover"

/** What it is asked. */
const Asked = Schema.Struct({
  givenUp: Schema.Array(ReplicaId.ReplicaId),
  confirmed: Schema.optionalKey(Schema.Boolean)
})

/** What it answers. */
export interface Answer {
  readonly replica: string
  readonly givenUp: ReadonlyArray<string>
  /** What is lost, in words. */
  readonly loss: string
  /** Whether it was done. */
  readonly confirmed: boolean
}

/** What the OpenAPI document says of it. */
export const described: ClientApiServer.FurtherRoute = {
  method: "POST",
  path,
  operation: {
    operationId: "replica.recover",
    tags: ["replica"],
    summary: "Give members up that will never come",
    description:
      "For a replica that does not vote: it waits no longer for these members, and what only they hold is lost. Says what that " +
      "is, and does it where `confirmed` is true. A token has to have the role `admin`.",
    parameters: [],
    requestBody: {
      required: true,
      content: {
        "application/json": {
          schema: {
            type: "object",
            required: ["givenUp"],
            properties: { givenUp: { type: "array", items: { type: "string" } }, confirmed: { type: "boolean" } },
            additionalProperties: false
          }
        }
      }
    },
    responses: {
      "200": {
        description: "What is lost, and whether it was done.",
        content: {
          "application/json": {
            schema: {
              type: "object",
              required: ["replica", "givenUp", "loss", "confirmed"],
              properties: {
                replica: { type: "string" },
                givenUp: { type: "array", items: { type: "string" } },
                loss: { type: "string" },
                confirmed: { type: "boolean" }
              }
            }
          }
        }
      },
      "400": ErrorAnswer.described("The body names no members of the replica set."),
      "401": ErrorAnswer.described("The replica wants a token, and got none that it knows."),
      "403": ErrorAnswer.described("The token does not reach so far."),
      "409": ErrorAnswer.described(
        "Nothing has to be given up: the replica votes, or a member can be reached that does."
      ),
      "413": ErrorAnswer.described("The body is larger than the names of all members of any set."),
      "429": ErrorAnswer.described("The client asks more often than it may; `Retry-After` says when to try again.")
    }
  }
}

/** The route. */
export const layer = HttpRouter.use((router) =>
  Effect.gen(function* () {
    const status = yield* ReplicaStatus.ReplicaStatus
    const recover = Effect.gen(function* () {
      const { confirmed = false, givenUp } = yield* asked
      if (confirmed) yield* ClientTokens.audit(`recovery without ${givenUp.join(", ")}`)
      const loss = yield* confirmed ? status.recover(givenUp) : status.lossOf(givenUp)
      const answer: Answer = { replica: status.current().identity.replica, givenUp, loss, confirmed }
      return HttpServerResponse.jsonUnsafe(answer)
    }).pipe(
      Effect.catchTags({
        RecoveryRefused: ({ detail, field, message, reason }) =>
          Effect.succeed(
            reason === "invalid"
              ? Problem.make(400, "invalid_request", message, { field, detail })
              : Problem.make(409, "recovery_refused", message, { field, detail })
          ),
        HttpServerError: ({ reason }) =>
          Effect.succeed(
            reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
              ? Problem.make(413, "request_too_large", `the body has more than ${maxBytes} bytes`)
              : unread("it could not be read to its end")
          ),
        SchemaError: ({ message }) => Effect.succeed(unread(message))
      })
    )
    yield* router.add(
      "POST",
      path,
      // Node hands the connection over then, and nobody looks at how the body comes.
      ReplicaServer.exactly(path, ({ headers }) =>
        headers["upgrade"] === undefined ? recover : Effect.succeed(noUpgrade)
      )
    )
  })
)

// ---------------------------------------------------------------------------------------------------------------------

const unread = (detail: string) => Problem.make(400, "invalid_request", `body: ${detail}`, { field: "body", detail })

const noUpgrade = Problem.make(400, "invalid_request", "upgrade: there is nothing here to upgrade to", {
  field: "upgrade",
  detail: "there is nothing here to upgrade to"
})

/** More than the names of all members of any set. */
const maxBytes = 64 * 1024

const asked = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ text }) => text).pipe(
  Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBytes)),
  Effect.flatMap(Schema.decodeEffect(Schema.fromJsonString(Asked), { onExcessProperty: "error" }))
)
