/**
 * What a replica answered, as the error that it is. Pure.
 */
import { UnexpectedAnswer } from "./ClientError.ts"
import * as QuorumErrors from "./QuorumError.ts"

/** The class of each `error` of the client API. */
const classes: ReadonlyMap<string, new (fields: QuorumErrors.Fields) => QuorumErrors.QuorumError> = new Map(
  Object.values(QuorumErrors)
    .filter((each) => each !== QuorumErrors.QuorumError)
    .map((Class) => {
      const Concrete = Class as new (fields: QuorumErrors.Fields) => QuorumErrors.QuorumError
      return [new Concrete({ message: "" }).code, Concrete]
    })
)

/** The error of a body, or of a line of a batch: an unexpected answer when it is none of a replica's. */
export const errorOf = (status: number, body: unknown, url: string): QuorumErrors.QuorumError => {
  if (typeof body !== "object" || body === null || !("error" in body)) return unexpected(status, url, "no error of it")
  const { error, message = error, ...fields } = body as { readonly error: unknown; readonly message?: unknown }
  const Class = classes.get(String(error))
  if (Class === undefined) return unexpected(status, url, `${String(error)}: ${String(message)}`)
  return new Class({ ...fields, message: String(message), url })
}

/** An answer that no replica gives. */
export const unexpected = (status: number, url: string, what: string): UnexpectedAnswer =>
  new UnexpectedAnswer({ message: `the answer of ${url} is not a replica's, status ${status}: ${what}`, status, url })
