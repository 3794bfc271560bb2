/**
 * The answer to a request that no endpoint has dealt with, in the shape that all errors have: `{ error, message }`.
 */
import { HttpServerResponse } from "effect/http"

/** Makes the answer. `error` is what a program branches on, `message` is for people, `rest` is what else is known. */
export const make = (
  status: number,
  error: string,
  message: string,
  rest?: Readonly<Record<string, string>>
): HttpServerResponse.HttpServerResponse => HttpServerResponse.jsonUnsafe({ error, ...rest, message }, { status })
