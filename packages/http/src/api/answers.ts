/**
 * The answers of a batch as bytes: those that are known at once are one piece on the way, and not one each.
 */
import { Schema, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { BatchAnswer } from "./BatchApi.ts"

/** The answer to a batch: a line for each. */
export const responseOf = (answers: Stream.Stream<BatchAnswer>): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.stream(answers.pipe(Stream.chunks, Stream.map(bytesOf)), { contentType: "application/x-ndjson" })

// ---------------------------------------------------------------------------------------------------------------------

const encode = Schema.encodeSync(Schema.toCodecJson(BatchAnswer))

const utf8 = new TextEncoder()

const bytesOf = (answers: ReadonlyArray<BatchAnswer>): Uint8Array =>
  utf8.encode(answers.map((answer) => `${JSON.stringify(encode(answer))}\n`).join(""))
