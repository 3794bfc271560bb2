/**
 * What the generated OpenAPI document says otherwise than programs need it: numbers in a query or a header are numbers,
 * with their bounds; an answer may have more fields than a client knows, so that a later release can add some; and a list
 * that is not empty is one with a least length, where a first item of its own makes a pair of it to generated clients.
 */

/** The bounds of the numbers in queries, by the names of the parameters. */
export const bounds = {
  w: { minimum: 1 },
  r: { minimum: 1 },
  limit: { minimum: 1, maximum: 1000 },
  withinMillis: { minimum: 0, maximum: 60_000 }
} as const

/** Says of an operation that is answered with lines that the same may come as another type. */
export const alsoAs =
  (type: string) =>
  (operation: Record<string, unknown>): Record<string, unknown> => {
    const { "200": answer, ...others } = operation["responses"] as { readonly "200": { readonly content: object } }
    const content = { ...answer.content, [type]: { schema: { type: "string" } } }
    return { ...operation, responses: { "200": { ...answer, content }, ...others } }
  }

/** Says of a read that the client may have what it asks for. */
export const orNotModified = (operation: Record<string, unknown>): Record<string, unknown> => {
  const { "200": answer, ...others } = operation["responses"] as { readonly "200": { readonly headers: object } }
  const { headers } = answer
  const same = { description: "It is the one that `If-None-Match` names.", headers }
  return { ...operation, responses: { "200": answer, "304": same, ...others } }
}

/** Says of an operation what it may be answered with before it is known what is asked, or by whom. */
export const orRefused = <O extends { readonly responses: object }>(operation: O): O => ({
  ...operation,
  responses: { ...operation.responses, default: { $ref: "#/components/responses/Refused" } }
})

/** Changes the document. Tokens are needed where there are some, which the document of a replica does not know. */
export const transform = (document: Record<string, unknown>): Record<string, unknown> => {
  const { components, paths, ...rest } = changed(document) as { readonly components: object; readonly paths: object }
  for (const [path, operations] of Object.entries(paths) as ReadonlyArray<[string, Record<string, Operation>]>) {
    if (!withoutAnswer.test(path)) Object.values(operations).forEach(addSession)
    for (const [method, operation] of Object.entries(operations)) {
      const responses = { ...notLookedAt, ...operation.responses }
      operations[method] = orRefused({ ...operation, responses })
    }
  }
  const answers = { responses: { Refused: refused }, securitySchemes }
  return { ...rest, paths, security: [{}, { token: [] }], components: { ...components, ...answers } }
}

/** An answer that is a problem, of which more than this may be said. */
const problem = (description: string) => {
  const text = { type: "string" }
  const properties = { type: text, title: text, status: { type: "integer" }, detail: text, error: text, message: text }
  const required = Object.keys(properties)
  const schema = { type: "object", required, properties: { ...properties, field: text } }
  return { description, content: { "application/problem+json": { schema } } }
}

/** What is refused because nobody would look at it: `field` names the header. */
const notLookedAt = {
  "415": problem("The body is packed, or of a type that is not read here."),
  "501": problem("A header asks for what is not done here, as a condition of a write.")
}

const refused = problem(
  "Refused before it is known what is asked, or by whom: 403 for a page of another origin, 408, 413, 417 and 431 for a " +
    "request that is too slow, too large or expects what is not done, 421 for another host. Or 500, of which the " +
    "replica's log says more."
)

/** Whoever takes a session answers one, where something was written or read. */
const addSession = ({ parameters, responses }: Operation): void => {
  if (!parameters?.some(({ in: place, name }) => place === "header" && name === "quorum-session")) return
  for (const [status, response] of Object.entries(responses)) {
    if (sessionStatuses.has(status)) response.headers = { ...response.headers, "quorum-session": session }
  }
}

/** Many writes, or reads, say it in their lines, a feed when it cannot go on, and a stamp is neither a write nor a read. */
const withoutAnswer = /^\/v1\/(batch|changes|reads|stamps)/

interface Operation {
  readonly parameters?: ReadonlyArray<{ readonly in: string; readonly name: string }>
  readonly responses: Readonly<Record<string, { readonly description: string; headers?: object }>>
}

const sessionStatuses = new Set(["200", "201", "304", "404", "504"])

const session = {
  description:
    "What the client did and saw, this answer included: what to send with its next requests, to any replica.",
  schema: { type: "string" }
}

/** How a client says who it is. */
const securitySchemes = { token: { type: "http", scheme: "bearer" } }

// ---------------------------------------------------------------------------------------------------------------------

const changed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(changed)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value)
    .filter(([name, of]) => !(name === "additionalProperties" && of === false))
    .map(([name, of]) => [name, changed(of)] as const)
  const result: Record<string, unknown> = Object.fromEntries(entries)
  const { anyOf, in: place, items, name, prefixItems, "retry-after": retryAfter } = result
  if (Array.isArray(prefixItems) && prefixItems.every((item) => JSON.stringify(item) === JSON.stringify(items))) {
    delete result["prefixItems"]
  }
  if (Array.isArray(anyOf) && anyOf.length === 1 && Object.keys(result).length === 1) return anyOf[0]
  if (typeof retryAfter === "object" && retryAfter !== null) {
    result["retry-after"] = { ...retryAfter, schema: { type: "integer", minimum: 0 } }
  }
  if (place === "query" && typeof name === "string" && name in bounds) {
    result["schema"] = { type: "integer", ...bounds[name as keyof typeof bounds] }
  }
  return result
}
