/**
 * What a server of Node refuses by itself, before a handler sees it: answered with a problem, as every error of a replica
 * is, and not with a status alone.
 */
import * as Problem from "../Problem.ts"

/** A connection that Node gives up. */
export interface Connection {
  readonly writable: boolean
  readonly end: (text: string, onSent: () => void) => unknown
  readonly destroy: () => unknown
}

/** An answer of which nothing was said yet. */
export interface Answer {
  readonly writeHead: (
    status: number,
    fields: Readonly<Record<string, string>>
  ) => { readonly end: (body: string) => unknown }
}

/** Answers a request that expects anything but `100-continue`. Its body is not waited for. */
export const unexpected = (answer: Answer): void => {
  const body = bodyOf(417, "not_implemented", "expect", "nothing but 100-continue can be expected")
  answer.writeHead(417, fieldsOf(body)).end(body)
}

/** Ends a connection on which Node cannot go on, with an answer where one can be understood: where none has begun. */
export const end = (error: object, connection: Connection, hasBegun: boolean): void => {
  const code = "code" in error ? String(error.code) : ""
  const refusal = refusals[code] ?? (code.startsWith("HPE_") ? malformed : undefined)
  if (refusal === undefined || hasBegun || !connection.writable) return void connection.destroy()
  const [status, phrase, said, what] = refusal
  const body = bodyOf(status, said, "request", `${what} (${code})`)
  const fields = Object.entries(fieldsOf(body)).map(([name, value]) => `${name}: ${value}`)
  connection.end([`HTTP/1.1 ${status} ${phrase}`, ...fields, "", body].join("\r\n"), () => connection.destroy())
}

// ---------------------------------------------------------------------------------------------------------------------

const fieldsOf = (body: string) => ({
  connection: "close",
  "content-type": "application/problem+json",
  "content-length": String(body.length)
})

type Refusal = readonly [status: number, phrase: string, error: string, what: string]

const malformed: Refusal = [400, "Bad Request", "invalid_request", "it is not as HTTP has it"]

/** By the code of Node's error, or of what is refused in its place. */
const refusals: { readonly [code: string]: Refusal } = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, "Request Timeout", "request_timeout", "its head did not come in time"],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, "Content Too Large", "request_too_large", "its chunks have too long extensions"],
  SMALL_PIECES: [413, "Content Too Large", "request_too_large", "its body comes in too many pieces of a few bytes"],
  HPE_HEADER_OVERFLOW: [431, "Request Header Fields Too Large", "request_too_large", "its head is too long"]
}

const bodyOf = (status: number, error: string, field: string, detail: string): string =>
  JSON.stringify(Problem.members(status, error, `${field}: ${detail}`, { field, detail }))
