/**
 * What the methods of an open replica may be given, as those of `@quorum/client`: a misspelt name would be the usual thing
 * without a word.
 */
import { InvalidRequest } from "@quorum/client"
import type { OpenReplica } from "./OpenReplica.ts"

/** What a method was given cannot be used; `field` is its name. */
export const invalid = (field: string, detail: string): InvalidRequest =>
  new InvalidRequest({ message: `invalid request, ${field}: ${detail}`, field, detail })

/** What is given, if all of its names are known. Throws `InvalidRequest`. */
export const only = (names: ReadonlyArray<string>, given: object | undefined): void => {
  if (given === undefined) return
  if (typeof given !== "object" || given === null) throw invalid("options", "they are an object, or not given")
  const name = Object.keys(given).find((name) => !names.includes(name))
  if (name !== undefined) throw invalid(name, `it is not known here; known are ${names.join(", ")}`)
  const { signal, timeoutMillis: millis } = given as { readonly signal?: unknown; readonly timeoutMillis?: unknown }
  if (millis !== undefined && !(typeof millis === "number" && millis > 0 && millis <= maxMillis)) {
    throw invalid("timeoutMillis", `it is a number of milliseconds above 0, ${maxMillis} at most`)
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalid("signal", "it is an AbortSignal")
}

/** Without a name what is listed, or followed, would be of all namespaces. */
const named = (namespace: unknown): void => {
  if (typeof namespace !== "string") throw invalid("namespace", "it is text")
}

/** The longest that timers take. */
const maxMillis = 2 ** 31 - 1

/** Has all methods look at the names of their options first. */
export const checked = (replica: OpenReplica): OpenReplica => {
  const { batch, commit, delete: remove, get, keys, list, put, resume, stamp, verify, watch, writeStatus } = replica
  const looked =
    <Given extends ReadonlyArray<unknown>, A>(
      call: (...given: Given) => Promise<A>,
      at: number,
      ...own: ReadonlyArray<string>
    ) =>
    async (...given: Given): Promise<A> => {
      only([...own, "signal", "timeoutMillis"], given[at] as object | undefined)
      return call(...given)
    }
  return {
    ...replica,
    put: looked(put, 3, "w", "contentType", "stamp"),
    get: looked(get, 2, "consistency", "r", "atLeast"),
    delete: looked(remove, 2, "w", "stamp"),
    batch: looked(batch, 1, "w"),
    commit: looked(commit, 1, "w", "stamp"),
    stamp: looked(stamp, 1),
    resume: looked(resume, 1, "w"),
    writeStatus: looked(writeStatus, 1),
    verify: looked(verify, 1),
    list: async function* (namespace, options) {
      named(namespace)
      only(["prefix", "reverse", "signal"], options)
      yield* list(namespace, options)
    },
    keys: async function* (namespace, options) {
      named(namespace)
      only(["prefix", "reverse", "signal"], options)
      yield* keys(namespace, options)
    },
    watch: async function* (namespace, options) {
      named(namespace)
      only(["prefix", "since", "until", "signal", "timeoutMillis"], options)
      yield* watch(namespace, options)
    }
  }
}
