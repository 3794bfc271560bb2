/**
 * Values as the lines of batches, exports and feeds say them. What is said so, and read back as a line of a batch, is the
 * same bytes of the same type. Pure.
 */

import { Base64 } from "effect/encoding"
import * as JsonBounds from "./JsonBounds.ts"

/** How a line says a value: one of three fields, and its type if it has one. */
export interface ValueFields {
  readonly json?: unknown
  readonly text?: string
  readonly value?: string
  readonly contentType?: string
}

/** JSON as JSON where nothing is lost by it and a batch would take it, text by its type as text, and what else there is in base64. */
export const fieldsOf = (value: Uint8Array, contentType: string | undefined): ValueFields => {
  if (contentType === undefined) return { value: Base64.encode(value) }
  const text = isText.test(contentType) || isJson.test(contentType) ? textOf(value) : undefined
  if (text === undefined) return { value: Base64.encode(value), contentType }
  const json = isJson.test(contentType) && JsonBounds.excessOf(value) === undefined ? jsonOf(text) : undefined
  return json === undefined ? { text, contentType } : { json, contentType }
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

/** What the text means, where it is spelled as it would be spelled from that: spaces, and numbers without end, are not. */
const jsonOf = (text: string): unknown => {
  try {
    const json: unknown = JSON.parse(text)
    return JSON.stringify(json) === text ? json : undefined
  } catch {
    return undefined
  }
}
