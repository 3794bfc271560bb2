/**
 * The bodies of requests, and no more of them than is wanted.
 */
import { QuorumError } from "@quorum/core"
import { JsonBounds, ServerLimits } from "@quorum/core/adapter"
import { ByteSize, Effect, type Schema } from "effect"
import { HttpIncomingMessage, type HttpServerRequest } from "effect/http"
import * as ClientApiErrors from "./ClientApiErrors.ts"

/** Reads the value of a put, and no more of it than a value may be (law L42). */
export const readValue = (request: HttpServerRequest.HttpServerRequest, limit: number) =>
  readBytes(request, limit, "value")

/** Reads a body, and no more of it than `limit`. `field` is what it is. */
const readBytes = (request: HttpServerRequest.HttpServerRequest, limit: number, field: "value" | "body") => {
  const rejected = (reason: "too_large" | "invalid", detail: string) =>
    Effect.fail(new QuorumError.WriteRejected({ field, reason, detail }))
  const announced = Number(request.headers["content-length"])
  if (announced > limit) return rejected("too_large", `${announced} bytes, the limit is ${limit}`)
  return request.arrayBuffer.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(limit)),
    Effect.matchEffect({
      onSuccess: (buffer) => Effect.succeed(new Uint8Array(buffer)),
      onFailure: ({ reason }) =>
        reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
          ? rejected("too_large", `more than the limit of ${limit} bytes`)
          : rejected("invalid", "the body could not be read to its end")
    })
  )
}

/** Reads a body that is JSON, and not one of lines: those are taken as they come, and this one is kept (law L63). */
export const readJson = <A>(
  request: HttpServerRequest.HttpServerRequest,
  limit: number,
  decode: (text: string) => Effect.Effect<A, Schema.SchemaError>
) => {
  if (ServerLimits.isLines(request.headers["content-type"])) return Effect.fail(lines)
  return Effect.flatMap(readBytes(request, limit, "body"), (body) => {
    const invalid = (detail: string) => new ClientApiErrors.InvalidRequest({ field: "body", detail })
    const excess = JsonBounds.excessOf(body)
    if (excess !== undefined) return Effect.fail(invalid(excess))
    return Effect.mapError(decode(new TextDecoder().decode(body)), ({ message }) => invalid(message))
  })
}

// ---------------------------------------------------------------------------------------------------------------------

const lines = new ClientApiErrors.InvalidRequest({ field: "content-type", detail: "send one JSON here, and no lines" })
