/**
 * Values as the lines of batches, exports and feeds say them. What is said so, and read back as a line of a batch, is the
 * same bytes of the same type. Pure.
 */

import { JsonBounds } from "@quorum/core/adapter"
import * as Base64 from "./base64.ts"
import { mayBeRounded } from "./jsonNumbers.ts"
import { largeBytes } from "./pieces.ts"

/** The fields of JSON that name a record. */
export const keyFields = (namespace: string, key: string): string =>
  `"namespace":${JSON.stringify(namespace)},"key":${JSON.stringify(key)}`

/** The field of JSON that is a value in base64. */
export const bytesField = (value: Uint8Array): string => `"value":"${Base64.encode(value)}"`

/**
 * How a line says a value, as fields of JSON: JSON as `json` where nothing is lost by it and a batch would take it, text by
 * its type as `text`, and what else there is in base64 as `value`; and its type if it has one. For {@link inTurns}: a large
 * value has empty texts where others may have their turn.
 */
export function* fieldsOf(value: Uint8Array, contentType: string | undefined): Generator<string, void> {
  if (contentType === undefined) return yield bytesField(value)
  const text = isText.test(contentType) || isJson.test(contentType) ? textOf(value) : undefined
  if (text === undefined) yield bytesField(value)
  else if (isJson.test(contentType) && (yield* isSpelledAsUsual(value, text))) yield `"json":${text}`
  else yield `"text":${JSON.stringify(text)}`
  yield `,"contentType":${JSON.stringify(contentType)}`
}

// ---------------------------------------------------------------------------------------------------------------------

const isText = /^text\//i
const isJson = /^application\/(?:[^/;\s]+\+)?json *(?:;|$)/i

/** A byte order mark is a character like any other. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const textOf = (value: Uint8Array): string | undefined => {
  try {
    return utf8.decode(value)
  } catch {
    return undefined
  }
}

/** Whether a text is JSON, and spelled as it would be spelled from what it means: spaces, and numbers without end, are not. Nor is what a batch refuses. */
function* isSpelledAsUsual(value: Uint8Array, text: string): Generator<string, boolean> {
  const turn = value.length > largeBytes ? [""] : []
  if (JsonBounds.excessOf(value) !== undefined) return false
  yield* turn
  try {
    const json: unknown = JSON.parse(text)
    yield* turn
    return JSON.stringify(json) === text && !mayBeRounded(json)
  } catch {
    return false
  }
}
