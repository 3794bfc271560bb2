/**
 * What commands have that ask replicas: where these are, and what an answer other than the one that was asked for means.
 */
import { createClient, InvalidOptions, type QuorumClient, QuorumError, TimedOut, Unreachable } from "@quorum/client"
import { Limits } from "@quorum/core"
import { Console, Effect, Option, Schema, type Scope } from "effect"
import { Flag } from "effect/cli"
import * as Ports from "../tools/Ports.ts"
import { printable } from "../tools/Progress.ts"
import { defaultPort } from "../ServerConfig.ts"
import { Ended, Failed, Usage } from "./Ending.ts"
import * as Whole from "../tools/Whole.ts"
import * as Flags from "./flags.ts"

/** The flags of every command that asks. */
export const flags = {
  url: Flag.String("url").pipe(
    Flag.withMetavar("URL,URL,…"),
    Flag.withDescription(
      "Where the replicas answer: all of them, so that another one is asked when one does not (default: those of quorum dev) [QUORUM_URL]"
    ),
    Flag.atLeast(0)
  ),
  token: Flag.String("token").pipe(
    Flag.withMetavar("TOKEN"),
    Flag.withDescription(
      "The token of this client; in QUORUM_TOKEN other users of this machine do not see it [QUORUM_TOKEN]"
    ),
    Flag.optional
  ),
  timeout: Whole.flag("timeout", 1, 86_400).pipe(
    Flag.withMetavar("SECONDS"),
    Flag.withDescription("How long to try, at one replica after another (default: 10)"),
    Flag.withDefault(10)
  ),
  json: Flags.json
}

/** What those were given. */
export interface Given {
  readonly url: ReadonlyArray<string>
  readonly token: Option.Option<string>
  readonly timeout: number
  readonly json: boolean
}

/** The replicas, as a command asks them. */
export interface Remote {
  /** Without a slash at the end: each is followed by a path. */
  readonly urls: ReadonlyArray<string>
  readonly client: QuorumClient
  /** A `fetch` with the token: what the client has no method for. */
  readonly fetch: (url: string, init?: RequestInit) => Promise<Response>
}

/** Makes the client, which is closed with the scope. */
export const connect = (given: Given): Effect.Effect<Remote, Usage, Scope.Scope> => {
  const { urls, source } = urlsOf(given.url)
  const token = Option.getOrUndefined(given.token) ?? nonEmpty(process.env["QUORUM_TOKEN"])
  return Effect.acquireRelease(
    Effect.try({
      try: (): Remote => ({
        // The client looks at them, and takes none that is no url.
        client: createClient({ urls, timeoutMillis: given.timeout * 1000, ...(token === undefined ? {} : { token }) }),
        urls: urls.map(withoutSlash),
        fetch: (url, init = {}) =>
          fetch(url, {
            ...init,
            redirect: "error",
            headers: { ...init.headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
          })
      }),
      catch: (error) => new Usage({ detail: wrongOption(error, source, Option.isSome(given.token)) })
    }),
    ({ client }) => Effect.promise(() => client.close())
  )
}

/** As the client asks it, a `?` with nothing after it left out. */
const withoutSlash = (url: string): string => {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`.replace(/\/+$/, "")
}

/** What is wrong with an option, by the name under which it was given. */
const wrongOption = (error: unknown, ofUrls: string, isTokenFlag: boolean): string => {
  const message = messageOf(error)
  if (!(error instanceof InvalidOptions) || error.field !== "token") return `${ofUrls}: ${message}`
  return `${isTokenFlag ? "--token" : "QUORUM_TOKEN"}${message.slice(error.field.length)}`
}

/** How long a replica may take for what it answers at once, within the time of the command. */
export const firstMillis = ({ timeout }: Pick<Given, "timeout">): number => Math.min(4000, timeout * 1000)

/** What a replica answered that was asked by `fetch`, and is no success. */
export class Answered extends Error {
  readonly status: number
  readonly code: string
  readonly fields: object
  constructor(url: string, status: number, body: unknown) {
    const { error, message, ...fields } = { ...(body as { readonly error?: unknown; readonly message?: unknown }) }
    const isReplicas = typeof error === "string" && typeof message === "string"
    super(isReplicas ? message : `the answer of ${url} is not a replica's, status ${status}`)
    this.status = status
    this.code = isReplicas ? error : "unexpected_answer"
    this.fields = isReplicas ? { ...fields, url } : { url }
  }
  /** Whether every replica would answer the same: what was asked is to blame, and not that it was asked too often. */
  get isFinal(): boolean {
    if (this.status === 404 && this.code === "unexpected_answer") return false
    return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429
  }
}

/** The JSON of an answer, if it is an object with these fields: nothing else that is answered is that (law L11). */
export const jsonOf = async <A extends object>(
  answer: Response,
  url: string,
  ...fields: ReadonlyArray<keyof A & string>
): Promise<A> => {
  const body = objectIn(await answer.text())
  if (body !== undefined && fields.every((field) => field in body)) return body as A
  throw new Answered(url, answer.status, undefined)
}

/** The object that a text says in JSON; undefined when it says none. */
export const objectIn = (text: string): object | undefined => {
  try {
    const json: unknown = JSON.parse(text)
    return typeof json === "object" && json !== null ? json : undefined
  } catch {
    return undefined
  }
}

/** An answer as what it is not: whatever its body is. */
export const answered = async (answer: Response, url: string): Promise<Answered> =>
  new Answered(url, answer.status, await answer.json().catch(() => undefined))

/** What a request failed with, as the client says it; an answer that is no success is one. */
export const unanswered = (url: string, error: unknown): Answered | QuorumError | Error => {
  if (error instanceof Answered) return error
  const why = messageOf(error)
  if (error instanceof TypeError) {
    return new Unreachable({ message: `${url} cannot be reached, or the connection broke: ${why}`, url, cause: error })
  }
  return error instanceof Error && error.name === "TimeoutError"
    ? new TimedOut({ message: `${url} did not answer: ${why}`, url, cause: error })
    : new Error(`${url}: ${why}`)
}

/** How large writes may be, as the first replica that answers says it; as usual, where none does. */
export const limitsOf = (remote: Remote): Promise<Limits.Limits> =>
  Promise.any(
    remote.urls.map(async (url) => {
      const answer = await remote.fetch(`${url}/v1/status`, { signal: AbortSignal.timeout(2000) })
      const { limits } = (await answer.json()) as { readonly limits: unknown }
      return Schema.decodeUnknownSync(Limits.LimitsJson)(limits)
    })
  ).catch(() => Limits.defaults)

/** Asks, and ends the command with what was answered instead, if something was. */
export const ask = <A>(
  given: Pick<Given, "json">,
  call: (signal: AbortSignal) => Promise<A>
): Effect.Effect<A, Usage | Failed | Ended> =>
  Effect.tryPromise({ try: call, catch: (error) => error }).pipe(Effect.catch((error) => refused(given, error)))

/** Ends the command with what was answered: as JSON on standard error for programs. */
export const refused = (
  { json }: Pick<Given, "json">,
  error: unknown
): Effect.Effect<never, Usage | Failed | Ended> => {
  if (!(error instanceof QuorumError || error instanceof Answered)) {
    return Effect.fail(new Failed({ detail: printable(messageOf(error)) }))
  }
  const exit = error instanceof QuorumError ? exitOf(error) : error.code === "invalid_request" ? 2 : 1
  if (json) {
    const { code, message } = error
    const { fields } = error instanceof QuorumError ? { fields: fieldsOf(error) } : error
    const line = JSON.stringify({ error: code, message, ...fields })
    return Effect.andThen(Console.error(line), Effect.fail(new Ended({ code: exit })))
  }
  if (exit === 2) return Effect.fail(new Usage({ detail: printable(error.message) }))
  return Effect.fail(new Failed({ detail: printable(`${error.message}${remedyOf(error)}`), code: exit }))
}

/** 3 when it is not known, or not yet, whether a write is committed; 2 for what cannot be asked; else 1. */
export const exitOf = ({ code, written }: QuorumError): 1 | 2 | 3 =>
  written !== "no" ? 3 : code === "invalid_request" ? 2 : 1

/** The message of anything that was thrown. */
export const messageOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  // What `fetch` fails with says why in its cause alone.
  const { cause, message } = error
  return error instanceof TypeError && cause instanceof Error && cause.message !== ""
    ? `${message}: ${cause.message}`
    : message
}

// ---------------------------------------------------------------------------------------------------------------------

const fieldsOf = ({ code: _code, message: _message, ...fields }: QuorumError): object => ({
  ...fields,
  cause: undefined
})

const nonEmpty = (text: string | undefined): string | undefined => (text === "" ? undefined : text)

const urlsOf = (flags: ReadonlyArray<string>): { readonly urls: ReadonlyArray<string>; readonly source: string } => {
  const of = (text: string) =>
    text
      .split(",")
      .map((url) => url.trim())
      .filter((url) => url !== "")
  if (flags.length > 0) return { urls: flags.flatMap(of), source: "--url" }
  const variable = nonEmpty(process.env["QUORUM_URL"])
  if (variable !== undefined) return { urls: of(variable), source: "QUORUM_URL" }
  return { urls: [0, 1, 2].map((i) => `http://${Ports.host}:${defaultPort + i}`), source: "--url" }
}

/** What to do about it. */
const remedyOf = (error: QuorumError | Answered): string => {
  if ("writeId" in error && error.code === "quorum_not_met") {
    return `\nIt is durable and may spread: never write it again, wait for it with: quorum resume ${String(error.writeId)}`
  }
  if ("stamp" in error && "written" in error && error.written === "perhaps") {
    return `\nThe same command with --stamp ${String(error.stamp)} sends it again, and it stays one write`
  }
  switch (error.code) {
    case "unauthorized":
      return "; give --token or QUORUM_TOKEN"
    case "unreachable":
    case "timed_out":
      return "; does a replica run there? give --url or QUORUM_URL"
    default:
      return ""
  }
}
