/**
 * Values, as they are given and as they travel.
 */
import { invalid } from "./ClientError.ts"

/**
 * What can be written: bytes, text, or a value of JSON. Text is kept as UTF-8 with the type `text/plain; charset=utf-8`,
 * JSON as `application/json`, bytes without a type, unless one is given.
 */
export type Value = string | Uint8Array | ArrayBuffer | { readonly json: unknown }

/** A value as text, or as the bytes that were given, which are their caller's again after the call; and its type. */
export interface Content {
  readonly body: string | Uint8Array
  readonly contentType: string | undefined
}

/** What is written of a value. Throws `InvalidRequest` for what is none. */
export const contentOf = (value: Value, type?: string): Content => {
  if (type !== undefined && typeof type !== "string") throw invalid("contentType", "it is text")
  // As a header says it, whichever way it goes.
  const contentType = type?.trim()
  if (typeof value === "string") {
    if (loneSurrogate.test(value)) throw invalid("value", "it has half a surrogate pair, which is no text")
    return { body: value, contentType: contentType ?? textType }
  }
  if (value instanceof Uint8Array) return { body: value, contentType }
  if (value instanceof ArrayBuffer) return { body: new Uint8Array(value), contentType }
  const isJson = typeof value === "object" && value !== null && Object.keys(value).join() === "json"
  const json = isJson ? jsonText(value.json) : undefined
  if (json === undefined) throw invalid("value", "give text, bytes, or { json: … } of what JSON can say")
  return { body: json, contentType: contentType ?? "application/json" }
}

/** About how long it is on the way. */
export const lengthOf = ({ body }: Content): number => body.length

/** What a line says of a value: text where it is some by its type, which is shorter than base64 and sooner made. */
export const saidOf = ({ body, contentType }: Content): { readonly text: string } | { readonly value: string } => {
  if (typeof body === "string") return { text: body }
  const text = contentType !== undefined && isText.test(contentType) ? textOf(body) : undefined
  return text === undefined ? { value: base64Of(body) } : { text }
}

/** Bytes in base64. */
export const base64Of = (bytes: Uint8Array): string => {
  if (NodeBuffer !== undefined) return NodeBuffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")
  let binary = ""
  for (let i = 0; i < bytes.length; i += chunk) binary += String.fromCharCode(...bytes.subarray(i, i + chunk))
  return btoa(binary)
}

/** The bytes of base64. */
export const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => {
  const binary = atob(base64)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}

// ---------------------------------------------------------------------------------------------------------------------

/** Where there is none, a loop has to do what it does many times as fast. */
const { Buffer: NodeBuffer } = globalThis as {
  readonly Buffer?: {
    readonly from: (
      bytes: ArrayBufferLike,
      offset: number,
      length: number
    ) => { readonly toString: (encoding: "base64") => string }
  }
}

const isText = /^(?:text\/|application\/(?:[^/;\s]+\+)?json *(?:;|$))/i

/** A byte order mark is a character like any other. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

const textType = "text/plain; charset=utf-8"

/** How many bytes are arguments of one call. */
const chunk = 8192

/** A half of a surrogate pair without its other half. */
const loneSurrogate = /\p{Surrogate}/u

/** Undefined for what JSON cannot say: functions, cycles, big integers, numbers that are none and their like. */
const jsonText = (json: unknown): string | undefined => {
  try {
    const text = JSON.stringify(json)
    // In the place of a number that is none there is `null`.
    return text?.includes("null") === true ? JSON.stringify(json, finite) : text
  } catch {
    return undefined
  }
}

const finite = (_: string, value: unknown): unknown => {
  if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError("JSON has no such number")
  return value
}
