/**
 * What a request may not be, before anybody decodes it: a path that could be taken for another one, a parameter or a
 * header that nobody would look at (laws L64, L66). Pure.
 */

/** A request that is answered with an error. `field` names the part of it. */
export interface Objection {
  readonly status: 400 | 404 | 415 | 501
  readonly error: "invalid_request" | "route_unknown" | "unsupported_media_type" | "not_implemented"
  readonly field: string
  readonly detail: string
}

/** The path of a request's target, as it was sent. */
export const pathOf = (target: string): string => {
  const end = target.indexOf("?")
  return end < 0 ? target : target.slice(0, end)
}

/** Whether a name can be part of a path: clients and proxies resolve `.` and `..`, however they are written. */
export const isPathName = (name: string): boolean => name !== "." && name !== ".."

/**
 * What is wrong with a path. Each record has one spelling of its path but for the percent-encoding of its name: nothing
 * is cut off, joined or normalised into another record.
 */
export const ofPath = (target: string): Objection | undefined => {
  // No client sends a fragment, and a router would cut it off.
  if (target.includes("#")) return invalid("path", "a number sign is part of a name only when it is written %23")
  const path = pathOf(target)
  if (path.includes(";")) return invalid("path", "a semicolon is part of a name only when it is written %3B")
  const [first, ...segments] = path.split("/")
  if (first !== "") return unknown(path)
  for (const [i, segment] of segments.entries()) {
    const text = decoded(segment)
    if (text === undefined) return invalid("path", "it is not well-formed")
    if (!isPathName(text)) return invalid("path", "`.` and `..` cannot be part of it")
    // The part that names no record: `/v1`, what it is about, `/peer` and so on.
    if (i < 2 && segment !== text) return unknown(path)
    if (text === "" && path !== "/") return unknown(path)
  }
  return undefined
}

/** What is wrong with the parameters of a query, of which only these names mean anything. */
export const ofQuery = (target: string, names: ReadonlyArray<string>): Objection | undefined => {
  const at = target.indexOf("?")
  if (at < 0) return undefined
  for (const pair of target.slice(at + 1).split("&")) {
    // What cannot be decoded would be taken for something else, or for U+FFFD.
    if (decoded(pair) !== undefined) continue
    const name = pair.split("=", 1)[0]!
    return invalid(names.includes(name) ? name : "query", "its percent-encoding is not well-formed")
  }
  const seen = new Set<string>()
  for (const [name] of new URLSearchParams(target.slice(at))) {
    if (!names.includes(name)) {
      const known = names.length === 0 ? "there is none here" : `known are ${names.join(", ")}`
      return invalid(name, `there is no such parameter; ${known}`)
    }
    if (seen.has(name)) return invalid(name, "it is given twice")
    seen.add(name)
  }
  return undefined
}

/** What an endpoint makes of a request. */
export interface Endpoint {
  readonly readsBody?: boolean
  /** The names of the headers that it decodes. */
  readonly takes?: ReadonlyArray<string>
}

/**
 * What is wrong with the headers: those that would change what a request means and are not supported, and a body where
 * none is read.
 */
export const ofHeaders = (
  method: string,
  headers: Headers,
  { readsBody = method === "PUT", takes = [] }: Endpoint = {}
): Objection | undefined => {
  const encoding = headers["content-encoding"]
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    const detail = `a body that is packed (${encoding}) would be stored as it is; send it unpacked`
    return { status: 415, error: "unsupported_media_type", field: "content-encoding", detail }
  }
  const transfer = headers["transfer-encoding"]
  if (transfer !== undefined && transfer.toLowerCase() !== "chunked") {
    return notImplemented("transfer-encoding", `a body that is packed (${transfer}) would be stored as it is`)
  }
  if (headers["content-range"] !== undefined) return notImplemented("content-range", "a value is written as a whole")
  const override = overrides.find((name) => headers[name] !== undefined)
  if (override !== undefined) return notImplemented(override, `the method is that of the request, ${method}`)
  if (method === "GET" || method === "HEAD") {
    // The only condition of a read that a record without a date of its own may not ignore (RFC 9110, section 13.1).
    return headers["if-match"] === undefined
      ? undefined
      : notImplemented("if-match", "compare the `etag` of the answer")
  }
  return ofWrite(headers, readsBody, takes)
}

// ---------------------------------------------------------------------------------------------------------------------

type Headers = { readonly [name: string]: string | undefined }

/** What is wrong with the headers of a request that changes something. */
const ofWrite = (headers: Headers, readsBody: boolean, takes: ReadonlyArray<string>): Objection | undefined => {
  const conditional = conditionals.find((name) => headers[name] !== undefined)
  if (conditional !== undefined) {
    return notImplemented(conditional, "a write cannot depend on what is there; there is no compare-and-set")
  }
  const repeatable = repeatables.find((name) => headers[name] !== undefined && !takes.includes(name))
  if (repeatable !== undefined) {
    return notImplemented(repeatable, "nobody would look at it here; a write of a record takes one")
  }
  const digest = digests.find((name) => headers[name] !== undefined)
  if (digest !== undefined) {
    return notImplemented(digest, "nobody compares it with the body, which would be stored although they differ")
  }
  if (!readsBody) {
    const hasBody = Number(headers["content-length"] ?? 0) > 0 || headers["transfer-encoding"] !== undefined
    return hasBody ? invalid("body", "none is read here; `w` is a parameter") : undefined
  }
  if (headers["range"] !== undefined) return notImplemented("range", "a value is written as a whole")
  // Node hands the connection over and reads no body then.
  return headers["upgrade"] === undefined ? undefined : invalid("upgrade", "there is nothing here to upgrade to")
}

const conditionals = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"]

/** By which a write may be sent again. */
const repeatables = ["idempotency-key", "quorum-stamp"]

const digests = ["content-md5", "digest", "content-digest", "repr-digest"]

const overrides = ["x-http-method-override", "x-http-method", "x-method-override"]

const notImplemented = (field: string, detail: string): Objection => ({
  status: 501,
  error: "not_implemented",
  field,
  detail
})

const invalid = (field: string, detail: string): Objection => ({
  status: 400,
  error: "invalid_request",
  field,
  detail
})

const unknown = (path: string): Objection => ({
  status: 404,
  error: "route_unknown",
  field: "path",
  detail: `there is nothing at ${path}`
})

const decoded = (segment: string): string | undefined => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}
