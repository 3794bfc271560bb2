/**
 * One request to one replica: what was asked for, or the error that it was answered with. It is tried once.
 */
import { errorOf, unexpected } from "./Answers.ts"
import { type Answered, answeredOf, jsonOf } from "./Body.ts"
import { invalid, TimedOut, Unreachable } from "./ClientError.ts"
import type { Settings } from "./Options.ts"
import type { Receipt } from "./Record.ts"
import { QuorumError } from "./QuorumError.ts"
import type { Session } from "./Session.ts"
import { onAbort } from "./Signals.ts"

/** A request. */
export interface Request {
  readonly method: "GET" | "PUT" | "POST" | "DELETE"
  /** With what is encoded in it, from `/v1` on. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array<ArrayBuffer>
}

/** Takes what an answer, or a line of it, says of the session. */
export type Learn = (token: string | null | undefined) => void

/** Reads an answer that is in order. */
export type Read<A> = (answered: Answered, url: string, learn: Learn) => Promise<A>

/**
 * Makes it. Fails with a `QuorumError`, or with the reason of the signal when that is aborted; then what became of it is
 * not known. What cannot be sent at all is an `InvalidRequest`, and no fault of the replica.
 */
export const attempt = async <A>(
  { attemptMillis, fetch, token }: Settings,
  url: string,
  { body, headers, method, path, query }: Request,
  read: Read<A>,
  limits: { readonly millis: number; readonly signal: AbortSignal | undefined },
  session: Session
): Promise<A> => {
  limits.signal?.throwIfAborted()
  const controller = new AbortController()
  const said = session.text()
  const target = `${url}${path}${queryOf(query)}`
  const fields = headersOf({ ...headers, authorization: token && `Bearer ${token}`, "quorum-session": said })
  const learn: Learn = (token) => session.learn(said, token)
  const { signal } = limits
  const millis = Math.min(attemptMillis, limits.millis)
  const late = new TimedOut({ message: `${url} did not answer within ${Math.ceil(millis)} ms`, url })
  const timer = setTimeout(() => controller.abort(late), millis)
  const forget = onAbort(signal, () => controller.abort(signal?.reason))
  let answered: Answered | undefined
  try {
    const response = await fetch(target, {
      method,
      headers: fields,
      ...(body === undefined ? {} : { body }),
      redirect: "error",
      cache: "no-store",
      signal: controller.signal
    })
    answered = answeredOf(response)
    controller.signal.addEventListener("abort", answered.cancel, { once: true })
    learn(answered.headers.get("quorum-session"))
    if (answered.status >= 400) throw await problemOf(answered, url)
    const what = await read(answered, url, learn)
    controller.signal.throwIfAborted()
    return what
  } catch (error) {
    // What is not read to its end would keep its connection.
    answered?.cancel()
    // The reason, whatever the platform makes of it.
    if (controller.signal.aborted) throw controller.signal.reason
    throw error instanceof QuorumError ? error : unreachable(url, error)
  } finally {
    clearTimeout(timer)
    forget()
  }
}

/** The receipt that an answer is. */
export const readReceipt: Read<Receipt> = async (answered, url) => receiptOf(await jsonOf(answered, url), answered, url)

/** What an answer, or a line of it, says that a receipt is. Anything else that is answered with 2xx is no ack (law L11). */
export const receiptOf = (json: unknown, { status }: Pick<Answered, "status">, url: string): Receipt => {
  const { acked, writeId } = (json ?? {}) as { readonly [Field in keyof Receipt]?: unknown }
  if (typeof writeId === "string" && Array.isArray(acked)) return json as Receipt
  throw unexpected(status, url, "it is no receipt")
}

// ---------------------------------------------------------------------------------------------------------------------

const queryOf = (query: Request["query"]): string => {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encoded(name, String(value))}`]
  )
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`
}

const encoded = (name: string, value: string): string => {
  try {
    return encodeURIComponent(value)
  } catch {
    throw invalid(name, "it has half a surrogate pair, which is no text")
  }
}

/** By which option a header is given. */
const optionsOf: Readonly<Record<string, string>> = { "content-type": "contentType", "quorum-stamp": "stamp" }

/** Those that are given, if each can be sent. */
const headersOf = (headers: Readonly<Record<string, string | undefined>>): Record<string, string> => {
  const given: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue
    try {
      new Headers([[name, value]])
    } catch {
      throw invalid(optionsOf[name] ?? name, "it has characters that no header can have")
    }
    given[name] = value
  }
  return given
}

const problemOf = async (answered: Answered, url: string): Promise<QuorumError> => {
  const isJson = /[/+]json\b/.test(answered.headers.get("content-type") ?? "")
  if (!isJson) return unexpected(answered.status, url, "its body is no JSON")
  return errorOf(answered.status, await jsonOf(answered, url), url)
}

/** What `fetch` throws says little; its cause says more, where there is one. */
const unreachable = (url: string, error: unknown): Unreachable => {
  const { cause, message } = error instanceof Error ? error : new Error(String(error))
  const more = cause instanceof Error ? (isNoTls(cause) ? noTls : cause.message) : ""
  const why = more === "" ? message : `${message}: ${more}`
  const said = `${url} cannot be reached, or the connection broke: ${why}`
  return new Unreachable({ message: `${said}${orRefused(url)}`, url, cause: error })
}

const isNoTls = (cause: Error): boolean => "code" in cause && cause.code === "ERR_SSL_WRONG_VERSION_NUMBER"

const noTls = "what answers there speaks no TLS; say http:// if it is to be so"

/** A browser does not tell a page whether nobody answered it, or somebody who does not know the page. */
const orRefused = (url: string): string => {
  const page =
    "location" in globalThis ? (globalThis.location as { readonly origin?: unknown } | undefined)?.origin : undefined
  if (typeof page !== "string" || page === "null" || page === new URL(url).origin) return ""
  return `; or ${page} is not among the replica's origins`
}
