/**
 * What a program that uses promises wants written, as the writes that it is: the same as `@quorum/client` takes, and refused
 * under the same names.
 */
import type { Value, Write } from "@quorum/client"
import { Entry } from "@quorum/core"
import { invalid, only } from "./KnownOptions.ts"

/** A put of a value. Throws `InvalidRequest` for what is none. */
export const put = (namespace: string, key: string, value: Value, contentType: string | undefined): Entry.Write =>
  Entry.put(namespace, key, ...contentOf(value, contentType))

/** Several writes. Throws `InvalidRequest` when one of them says more than one thing, or what nobody would look at. */
export const several = (writes: ReadonlyArray<Write>): readonly [Entry.Write, ...ReadonlyArray<Entry.Write>] => {
  if (!Array.isArray(writes)) throw invalid("writes", "it is a list")
  const [first, ...rest] = Array.from(writes as ReadonlyArray<Write>, one)
  if (first === undefined) throw invalid("writes", "there is none")
  return [first, ...rest]
}

// ---------------------------------------------------------------------------------------------------------------------

const one = (write: Write): Entry.Write => {
  if (typeof write !== "object" || write === null) throw invalid("writes", "each is an object with namespace and key")
  only(["namespace", "key", "value", "contentType", "delete"], write)
  const { contentType, delete: deleted, key, namespace, value } = write
  if (deleted !== undefined && typeof deleted !== "boolean") throw invalid("delete", "it is true, or not given")
  if (deleted !== true) return put(namespace, key, value as Value, contentType)
  if (value !== undefined) throw invalid("delete", "there is a value too; give one of them")
  if (contentType !== undefined) throw invalid("contentType", "a delete has none")
  return Entry.remove(namespace, key)
}

/** The bytes of a value, which are its caller's again after the call, and its type. */
const contentOf = (
  value: Value,
  contentType?: string
): [bytes: Uint8Array | string, options: { readonly contentType?: string }] => {
  const typed = (type: string | undefined) => (type === undefined ? {} : { contentType: type })
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw invalid("value", "it has half a surrogate pair, which is no text")
    return [value, typed(contentType ?? "text/plain; charset=utf-8")]
  }
  // A `Buffer` has a `slice` that copies nothing.
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) {
    return [new Uint8Array(value instanceof ArrayBuffer ? value.slice(0) : value), typed(contentType)]
  }
  const isJson = typeof value === "object" && value !== null && Object.keys(value).join() === "json"
  const text = isJson ? jsonText(value.json) : undefined
  if (text === undefined) throw invalid("value", "give text, bytes, or { json: … } of what JSON can say")
  return [text, typed(contentType ?? "application/json")]
}

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
