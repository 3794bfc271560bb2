/**
 * What every call may be given. A name that is not known is refused: nobody would look at it, and a misspelt time or
 * consistency would be the usual one without a word. So is what is of another kind, under the name by which it was given.
 */
import type { CallOptions } from "./Calls.ts"
import type { QuorumClient } from "./Client.ts"
import { invalid } from "./ClientError.ts"
import { expectedMillis, isMillis, otherThan } from "./Options.ts"
import type { InvalidRequest } from "./QuorumError.ts"

/** Has all calls look at what they are given first. */
export const checked = (client: QuorumClient): QuorumClient =>
  Object.fromEntries(
    Object.entries(client).map(([name, call]: [string, Call]) => {
      const expected = known[name as Method]
      if (expected === undefined) return [name, call]
      const look: Call = (...given) => {
        const error = wrongIn(expected, given)
        if (error === undefined) return call(...given)
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

/** What is wrong with a value, if anything is. */
type Rule = (value: unknown) => string | undefined

/** Which argument of a method are its options, what these are beside those of every call, and an argument to look at. */
type Expected<Name extends string = string> = readonly [
  at: number,
  own: { readonly [Option in Name]: Rule },
  argument?: readonly [name: string, rule: Rule]
]

const rule =
  (detail: string, holds: (value: unknown) => boolean): Rule =>
  (value) =>
    holds(value) ? undefined : detail

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

const text = rule("it is text", (value) => typeof value === "string")
const count = rule("it is a whole number above 0", (value) => Number.isSafeInteger(value) && (value as number) > 0)
const flag = rule("it is true or false", (value) => typeof value === "boolean")
const list = rule("it is a list", Array.isArray)
const some = rule("it is a list of one or more", (value) => Array.isArray(value) && value.length > 0)
const places = rule(
  "it is a list of one or more { namespace, key }",
  (value) => some(value) === undefined && (value as ReadonlyArray<unknown>).every(isObject)
)
const receipt = rule(
  "it is a receipt, as it was answered",
  (value) => isObject(value) && "writeId" in value && typeof value.writeId === "string"
)

const listed = {
  prefix: text,
  reverse: flag,
  pageSize: rule(
    "it is a whole number from 1 to 1000",
    (value) => count(value) === undefined && (value as number) <= 1000
  )
}

const everywhere: { readonly [Name in keyof Required<CallOptions>]: Rule } = {
  signal: rule("it is an AbortSignal", (value) => isObject(value) && "aborted" in value && "addEventListener" in value),
  timeoutMillis: rule(expectedMillis, isMillis)
}

const known: {
  readonly [M in Method]: Expected<Exclude<keyof Last<Parameters<QuorumClient[M]>>, keyof CallOptions> & string>
} = {
  put: [3, { w: count, contentType: text, stamp: text }],
  get: [
    2,
    {
      consistency: rule("it is local, quorum or linearizable", (value) =>
        ["local", "quorum", "linearizable"].includes(value as string)
      ),
      r: count,
      atLeast: text
    }
  ],
  delete: [2, { w: count, stamp: text }],
  list: [1, listed],
  keys: [1, listed],
  watch: [
    1,
    { prefix: text, since: text, until: rule("it is now, or not given", (value) => value === "now") },
    ["namespace", text]
  ],
  batch: [1, { w: count }, ["writes", list]],
  commit: [1, { w: count, stamp: text }, ["writes", some]],
  stamp: [1, {}, ["keys", places]],
  resume: [1, { w: count }],
  writeStatus: [1, {}],
  verify: [1, {}, ["receipt", receipt]],
  status: [0, {}]
}

/** Those that fail when the first thing is taken. */
const generators = { list: 1, keys: 1, watch: 1 }

const wrongIn = ([at, own, argument]: Expected, given: ReadonlyArray<unknown>): InvalidRequest | undefined => {
  const options = given[at]
  if (options !== undefined) {
    if (!isObject(options) || Array.isArray(options)) return invalid("options", "they are an object, or not given")
    const rules: { readonly [name: string]: Rule } = { ...own, ...everywhere }
    const other = otherThan(Object.keys(rules), options)
    if (other !== undefined) return invalid(...other)
    for (const [name, value] of Object.entries(options)) {
      const detail = value === undefined ? undefined : rules[name]!(value)
      if (detail !== undefined) return invalid(name, detail)
    }
  }
  if (argument === undefined) return undefined
  const [name, holds] = argument
  const detail = holds(given[0])
  return detail === undefined ? undefined : invalid(name, detail)
}

const refusing = async function* (error: Error): AsyncGenerator<never, void> {
  yield await Promise.reject<never>(error)
}
