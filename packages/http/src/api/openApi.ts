/**
 * What the generated OpenAPI document says otherwise than programs need it: numbers in a query are numbers, with their
 * bounds, and an answer may have more fields than a client knows, so that a later release can add some.
 */

/** The bounds of the numbers in queries, by the names of the parameters. */
export const bounds = {
  w: { minimum: 1 },
  limit: { minimum: 1, maximum: 1000 },
  withinMillis: { minimum: 0, maximum: 60_000 }
} as const

/** Changes the document. */
export const transform = (document: Record<string, unknown>): Record<string, unknown> =>
  changed(document) as Record<string, unknown>

// ---------------------------------------------------------------------------------------------------------------------

const changed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(changed)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value)
    .filter(([name, of]) => !(name === "additionalProperties" && of === false))
    .map(([name, of]) => [name, changed(of)] as const)
  const result: Record<string, unknown> = Object.fromEntries(entries)
  const { in: place, name } = result
  if (place === "query" && typeof name === "string" && name in bounds) {
    result["schema"] = { type: "integer", ...bounds[name as keyof typeof bounds] }
  }
  return result
}
