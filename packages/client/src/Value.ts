/**
 * Values, as they are given and as they travel.
 */
import { InvalidRequest } from "./QuorumError.ts"

/**
 * What can be written: bytes, text, or a value of JSON. Text is kept as UTF-8 with the type `text/plain; charset=utf-8`,
 * JSON as `application/json`, bytes without a type, unless one is given.
 */
export type Value = string | Uint8Array | ArrayBuffer | { readonly json: unknown }

/** A value as bytes or text, with its type. */
export interface Content {
  readonly body: string | Uint8Array<ArrayBuffer>
  readonly contentType: string | undefined
}

/** What is written of a value. Throws `InvalidRequest` for what is none. */
export const contentOf = (value: Value, contentType?: string): Content => {
  if (typeof value === "string") {
    if (loneSurrogate.test(value)) throw invalid("it has half a surrogate pair, which is no text")
    return { body: value, contentType: contentType ?? textType }
  }
  if (value instanceof Uint8Array) return { body: value.slice(), contentType }
  if (value instanceof ArrayBuffer) return { body: new Uint8Array(value.slice(0)), contentType }
  const json = typeof value === "object" && value !== null && "json" in value ? jsonText(value.json) : undefined
  if (json === undefined) throw invalid("give text, bytes, or { json: … } of what JSON can say")
  return { body: json, contentType: contentType ?? "application/json" }
}

/** About how long it is on the way. */
export const lengthOf = ({ body }: Content): number => body.length

/** Bytes in base64. */
export const base64Of = (bytes: Uint8Array): string => {
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

const textType = "text/plain; charset=utf-8"

/** How many bytes are arguments of one call. */
const chunk = 8192

/** A half of a surrogate pair without its other half. */
const loneSurrogate = /\p{Surrogate}/u

/** Undefined for what JSON cannot say: functions, cycles, big integers and their like. */
const jsonText = (value: unknown): string | undefined => {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

const invalid = (detail: string): InvalidRequest =>
  new InvalidRequest({ message: `invalid request, value: ${detail}`, field: "value", detail })
