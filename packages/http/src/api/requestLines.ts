/**
 * Requests of lines: a body of them as they come, what is wrong with it, and lines as the answer.
 */
import { QuorumError } from "@quorum/core"
import { JsonBounds, ServerLimits } from "@quorum/core/adapter"
import { Effect, Stream } from "effect"
import { Ndjson } from "effect/encoding"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { Forbidden, InvalidRequest, Unauthorized, UnsupportedMediaType } from "./ApiErrors.ts"

/** The most bytes of a line: a value of several mebibytes in base64, with its names. */
export const maxLineBytes = 8 * 1024 * 1024

/** What is wrong with a body, or with a line of it. */
export const invalid = (detail: string): InvalidRequest => new InvalidRequest({ field: "body", detail })

/** What is wrong with a request whose body is not of lines. */
export const otherType = ({ headers }: HttpServerRequest.HttpServerRequest): UnsupportedMediaType | undefined => {
  const type = headers["content-type"]
  return ServerLimits.isLines(type) ? undefined : new UnsupportedMediaType({ contentType: type ?? "none" })
}

/**
 * The lines of a body, as many at once as came at once: no more of it is read than is dealt with, and no more taken apart.
 * `keeps` is told how much is kept of one that has not come to its end, and says whether that fits. `remedy` is what to do
 * instead of a line that is too much to be taken apart.
 */
export const of = <E>(body: Stream.Stream<Uint8Array, E>, keeps: (bytes: number) => boolean, remedy: string) =>
  Stream.suspend(() => {
    const count = JsonBounds.counter()
    let kept = 0
    const fits = (bytes: Uint8Array): boolean => {
      const end = Math.max(bytes.lastIndexOf(lineFeed), bytes.lastIndexOf(carriageReturn))
      if (end >= 0 && kept > 0) keeps((kept = 0))
      kept += bytes.length - 1 - end
      return keeps(kept)
    }
    return body.pipe(
      Stream.flatMap((bytes): Stream.Stream<Uint8Array, InvalidRequest | QuorumError.Overloaded> => {
        if (!fits(bytes)) return Stream.fail(tooMuch)
        const excess = count(bytes)
        // Others have their turn while what came at once is looked at.
        if (excess === undefined) return Stream.fromEffect(Effect.as(Effect.yieldNow, bytes))
        const { detail, lineAt } = excess
        const end = invalid(`this line is too much to be taken apart: ${detail}; ${remedy}`)
        return Stream.concat(Stream.succeed(bytes.subarray(0, lineAt)), Stream.fail(end))
      }),
      Stream.pipeThroughChannel(Ndjson.decode({ ignoreEmptyLines: true, maxLineBytes }))
    )
  })

/** The lines ended before the body did: one is no JSON, or too long, or the body could not be read to its end, or may not go on. */
export const endOf = (cause: unknown): InvalidRequest | Unauthorized | Forbidden | QuorumError.Overloaded => {
  if (cause instanceof Unauthorized || cause instanceof Forbidden || cause instanceof QuorumError.Overloaded)
    return cause
  if (cause instanceof InvalidRequest) return invalid(`${cause.detail}; nothing from here on was read`)
  const why = Ndjson.isNdjsonError(cause)
    ? whyNoLine[cause.reason ?? "InvalidJson"]
    : "the body does not come to its end"
  return invalid(`${why}; nothing from here on was read`)
}

/** An answer to lines: a line for each of them, and those that are known at once are one piece on the way. */
export const responseOf = (answers: Stream.Stream<string>): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.stream(Stream.encodeText(answers), { contentType: "application/x-ndjson" })

// ---------------------------------------------------------------------------------------------------------------------

const lineFeed = 0x0a
const carriageReturn = 0x0d

const tooMuch = new QuorumError.Overloaded({
  detail:
    "lines that have not come to their end are kept here of as many bytes as may be; nothing from here on was read"
})

const whyNoLine: Record<Ndjson.NdjsonErrorReason, string> = {
  InvalidJson: "this line is no JSON",
  InvalidUtf8: "this line is no UTF-8",
  LineTooLarge: `this line has more than ${maxLineBytes} bytes`
}
