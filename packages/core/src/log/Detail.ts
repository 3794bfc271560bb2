/**
 * What an error says of what went wrong, for people. It may come from another replica, or from what pretends to be one.
 */
import { Schema, SchemaTransformation } from "effect"

/** How much of what others say is kept, in characters. */
const maxLength = 1000

/** What others say, so that it can stand in any log, whatever writes that. */
export const printable = (text: string): string => {
  const some = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text
  return some.replaceAll(/\p{Cc}/gu, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`)
}

/**
 * A detail of an error. What is read from others is {@link printable}: its control characters are their escapes, and of what
 * is very long the beginning is left.
 */
export const Detail = Schema.String.pipe(
  Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transform({ decode: (text) => printable(text), encode: (text) => text })
  )
)
