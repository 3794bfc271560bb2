/**
 * Answers that are errors, as problem details (RFC 9457), in the one shape that all of a replica's have: `error` is what
 * a program branches on, `message` is for people, and what else is known stands beside them.
 */
import { type HttpServerResponse, ProblemDetails } from "effect/http"

/** The type of the problems of a code. */
export const typeOf = (error: string): string => `urn:quorum:problem:${error}`

/** The members of a problem, and `rest`: what else is known. The detail is the message, where there is none in `rest`. */
export const members = <R extends { readonly detail?: unknown }>(
  status: number,
  error: string,
  message: string,
  rest: R
) => ({
  type: typeOf(error),
  title: titleOf(error),
  status,
  detail: message,
  error,
  ...rest,
  message
})

/** The answer. */
export const make = (
  status: number,
  error: string,
  message: string,
  rest: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse => ProblemDetails.toResponse(members(status, error, message, rest))

// ---------------------------------------------------------------------------------------------------------------------

/** `quorum_not_met` is "Quorum not met". */
const titleOf = (error: string): string => error.charAt(0).toUpperCase() + error.slice(1).replaceAll("_", " ")
