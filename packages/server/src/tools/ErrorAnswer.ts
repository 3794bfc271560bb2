/**
 * Answers of routes that are errors, as the OpenAPI document says them.
 */

/** One of them, and what it means. */
export const described = (description: string): object => {
  const text = { type: "string" }
  const schema = { type: "object", required: ["error", "message"], properties: { error: text, message: text } }
  return { description, content: { "application/problem+json": { schema } } }
}
