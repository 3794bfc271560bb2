/**
 * What a program that uses promises wants written, as the writes that it is: the same as `@quorum/client` takes, and refused
 * under the same names.
 */
import { contentOf, type Value, type Write } from "@quorum/client"
import { Entry } from "@quorum/core"
import { invalid, only } from "./KnownOptions.ts"

/** A put of a value. Throws `InvalidRequest` for what is none. */
export const put = (namespace: string, key: string, value: Value, given: string | undefined): Entry.Write => {
  const { body, contentType } = contentOf(value, given)
  // The bytes are their caller's again after the call, and a `Buffer` has a `slice` that copies nothing.
  const copy = typeof body === "string" ? body : new Uint8Array(body)
  return Entry.put(namespace, key, copy, contentType === undefined ? {} : { contentType })
}

/** Several writes. Throws `InvalidRequest` when one of them says more than one thing, or what nobody would look at. */
export const several = (writes: ReadonlyArray<Write>): readonly [Entry.Write, ...ReadonlyArray<Entry.Write>] => {
  if (!Array.isArray(writes)) throw invalid("writes", "it is a list")
  const [first, ...rest] = Array.from(writes as ReadonlyArray<Write>, one)
  if (first === undefined) throw invalid("writes", "there is none")
  return [first, ...rest]
}

/** One of several. Throws `InvalidRequest` as {@link several} does. */
export const one = (write: Write): Entry.Write => {
  if (typeof write !== "object" || write === null) throw invalid("writes", "each is an object with namespace and key")
  only(["namespace", "key", "value", "contentType", "delete"], write)
  const { contentType, delete: deleted, key, namespace, value } = write
  if (deleted !== undefined && typeof deleted !== "boolean") throw invalid("delete", "it is true, or not given")
  if (deleted !== true) return put(namespace, key, value as Value, contentType)
  if (value !== undefined) throw invalid("delete", "there is a value too; give one of them")
  if (contentType !== undefined) throw invalid("contentType", "a delete has none")
  return Entry.remove(namespace, key)
}
