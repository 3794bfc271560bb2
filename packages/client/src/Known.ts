/**
 * What every call may be given. A name that is not known is refused: nobody would look at it, and a misspelt time or
 * consistency would be the usual one without a word.
 */
import type { CallOptions } from "./Calls.ts"
import type { QuorumClient } from "./Client.ts"
import { invalid } from "./ClientError.ts"
import { otherThan } from "./Options.ts"

/** Has all calls look at the names of their options first. */
export const checked = (client: QuorumClient): QuorumClient =>
  Object.fromEntries(
    Object.entries(client).map(([name, call]: [string, Call]) => {
      const options = known[name as Method]
      if (options === undefined) return [name, call]
      const [at, own] = options
      const names = [...Object.keys(own), "signal", "timeoutMillis"]
      const look: Call = (...given) => {
        const other = otherThan(names, given[at] ?? {})
        if (other === undefined) return call(...given)
        const error = invalid(...other)
        return name in generators ? refusing(error) : Promise.reject(error)
      }
      return [name, look]
    })
  ) as unknown as QuorumClient

// ---------------------------------------------------------------------------------------------------------------------

type Call = (...given: ReadonlyArray<never>) => unknown

type Method = Exclude<keyof QuorumClient, "close">

type Last<Given extends ReadonlyArray<unknown>> =
  Required<Given> extends readonly [...ReadonlyArray<unknown>, infer Options] ? Options : never

/** Which argument of a method are its options, and what these are beside those of every call. */
const known: {
  readonly [M in Method]: readonly [
    at: number,
    own: { readonly [Name in Exclude<keyof Last<Parameters<QuorumClient[M]>>, keyof CallOptions>]: 1 }
  ]
} = {
  put: [3, { w: 1, contentType: 1, stamp: 1 }],
  get: [2, { consistency: 1, r: 1, atLeast: 1 }],
  delete: [2, { w: 1, stamp: 1 }],
  list: [1, { prefix: 1, reverse: 1, pageSize: 1 }],
  keys: [1, { prefix: 1, reverse: 1, pageSize: 1 }],
  watch: [1, { prefix: 1, since: 1, until: 1 }],
  batch: [1, { w: 1 }],
  commit: [1, { w: 1, stamp: 1 }],
  stamp: [1, {}],
  resume: [1, { w: 1 }],
  writeStatus: [1, {}],
  verify: [1, {}],
  status: [0, {}]
}

/** Those that fail when the first thing is taken. */
const generators = { list: 1, keys: 1, watch: 1 }

const refusing = async function* (error: Error): AsyncGenerator<never, void> {
  yield await Promise.reject<never>(error)
}
