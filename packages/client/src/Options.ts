/**
 * What a client is made with, checked.
 */
import { InvalidOptions } from "./ClientError.ts"

/** What a client is made with. */
export interface ClientOptions {
  /** Where the replicas answer: `http://host:port` or `https://…`, with a path when a proxy adds one. Any number of them. */
  readonly urls: ReadonlyArray<string>
  /** The token of this client, if the replicas want one. */
  readonly token?: string
  /** How long a call may take in all, in milliseconds: 10,000 unless given. Each call may have its own. */
  readonly timeoutMillis?: number
  /**
   * How long one replica has for an answer before another one is asked, in milliseconds: 4,000 unless given. Longer than
   * what the replicas give a write for its acks, so that they say themselves what became of it.
   */
  readonly attemptMillis?: number
  /** What makes requests: that of the platform unless given. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}

/** {@link ClientOptions}, complete and without a slash at the end of a url. */
export interface Settings {
  readonly urls: readonly [string, ...ReadonlyArray<string>]
  readonly token: string | undefined
  readonly timeoutMillis: number
  readonly attemptMillis: number
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
}

/** Checks them. Throws `InvalidOptions`, which names the field. */
export const settingsOf = (options: ClientOptions): Settings => {
  if (typeof options !== "object" || options === null) throw invalid("options", "they are an object with urls")
  const other = otherThan(names, options)
  if (other !== undefined) throw invalid(...other)
  if (!Array.isArray(options.urls)) throw invalid("urls", "it is a list of the replicas' urls")
  const [first, ...rest] = Array.from(options.urls, urlOf)
  if (first === undefined) throw invalid("urls", "at least one url is needed")
  if (options.token !== undefined && !(typeof options.token === "string" && /^[!-~]+$/.test(options.token))) {
    throw invalid("token", "it is text of visible ASCII characters without spaces")
  }
  if (options.fetch !== undefined && typeof options.fetch !== "function") {
    throw invalid("fetch", "it is a function, as that of the platform")
  }
  const attemptMillis = millisOf("attemptMillis", options.attemptMillis ?? 4000)
  return {
    urls: [first, ...rest],
    token: options.token,
    timeoutMillis: millisOf("timeoutMillis", options.timeoutMillis ?? 10_000),
    attemptMillis,
    // Not called as a method of the settings: browsers want it to be of the window, or of nothing.
    fetch: options.fetch ?? ((url, init) => fetch(url, init))
  }
}

/** A duration in milliseconds that timers take. */
export const millisOf = (field: string, millis: number): number => {
  if (isMillis(millis)) return millis
  throw invalid(field, expectedMillis)
}

/** Whether it is a duration in milliseconds that timers take. */
export const isMillis = (millis: unknown): boolean => typeof millis === "number" && millis > 0 && millis <= maxMillis

/** What is given and has none of these names, and what is wrong with it: nobody would look at it. */
export const otherThan = (
  names: ReadonlyArray<string>,
  given: object
): readonly [name: string, detail: string] | undefined => {
  const name = Object.keys(given).find((name) => !names.includes(name))
  return name === undefined ? undefined : [name, `it is not known here; known are ${names.join(", ")}`]
}

// ---------------------------------------------------------------------------------------------------------------------

const names = ["urls", "token", "timeoutMillis", "attemptMillis", "fetch"]

/** The longest that timers take. */
const maxMillis = 2 ** 31 - 1

/** What is wrong with one that they do not. */
export const expectedMillis = `it is a number of milliseconds above 0, ${maxMillis} at most`

const invalid = (field: string, detail: string): InvalidOptions =>
  new InvalidOptions({ message: `${field}: ${detail}`, field })

const urlOf = (text: unknown, i: number): string => {
  const field = `urls[${i}]`
  const url = parsed(text)
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw invalid(field, `${typeof text === "string" ? JSON.stringify(text) : "it"} is no http or https url`)
  }
  if (url.username !== "" || url.password !== "") throw invalid(field, "it has credentials; give a token instead")
  if (url.search !== "" || url.hash !== "") throw invalid(field, "it has a query or a fragment")
  // A `?` with nothing after it is in `href`, and in no part of a url.
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "")
}

const parsed = (text: unknown): URL | undefined => {
  try {
    return new URL(String(text))
  } catch {
    return undefined
  }
}
