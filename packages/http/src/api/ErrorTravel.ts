/**
 * How an error becomes an answer and an answer the error again: problem details (RFC 9457) with a status and headers, and
 * with no more than a client may see.
 */
import type { QuorumError } from "@quorum/core"
import { Problem } from "@quorum/core/adapter"
import { Record, Schema, SchemaTransformation } from "effect"
import { ProblemDetails } from "effect/http"
import { HttpApiSchema } from "effect/http-api"

/** The details of verdicts name addresses and libraries: they are in the replica's status and log, not for clients. */
export const withoutDetails = (verdicts: QuorumError.Verdicts): QuorumError.Verdicts =>
  Record.map(verdicts, (verdict): QuorumError.Verdict => {
    if (!("detail" in verdict)) return verdict
    const { detail: _, ...rest } = verdict
    return rest
  })

/** Seconds after which it makes sense to ask again. */
const retryAfterSeconds = 1

/** How an error travels: a status, its `error`, the fields of it that a client may see, and the way back. */
export interface Travel<E extends Error = Error> {
  readonly status: number
  readonly code: string
  readonly error: Schema.Codec<E, unknown>
  /** The names of what it says beside what all say. */
  readonly fields: ReadonlyArray<string>
  readonly body: Schema.Codec<object, unknown>
  readonly is: (error: Error) => boolean
  readonly toBody: (error: Error) => object
  readonly fromBody: (body: object) => E
}

/** An error of which these fields travel; the others are made up again. */
export const travel = <E extends Error, F extends Schema.Struct.Fields, Rest extends object = object>(
  status: number,
  error: Schema.Codec<E, unknown> & (new (fields: Schema.Struct.Type<F> & Rest) => E),
  code: string,
  fields: F,
  /** What is not for strangers: what they are told instead of the error's own message, and of the fields that are left out. */
  hidden?: { readonly message: (error: E) => string; readonly rest: Rest }
): Travel<E> => {
  const isOf = Schema.is(error)
  const isBody = Schema.is(Schema.Struct(fields))
  const names = Object.keys(fields)
  const type = Problem.typeOf(code)
  const said = (e: Error): object =>
    Object.fromEntries(
      Object.entries(e)
        .filter(([name, value]) => names.includes(name) && value !== undefined)
        .map(([name, value]) => [name, name === "verdicts" ? withoutDetails(value as QuorumError.Verdicts) : value])
    )
  return {
    status,
    code,
    error,
    fields: names,
    body: Schema.Struct({
      type: Schema.Literal(type),
      title: Schema.String,
      status: Schema.Int,
      detail: Schema.String,
      error: Schema.tag(code),
      ...fields,
      message: Schema.String
    }) as unknown as Schema.Codec<object, unknown>,
    is: (e) => isOf(e) && isBody(e),
    toBody: (e) => Problem.members(status, code, hidden?.message(e as E) ?? e.message, said(e)),
    fromBody: (body) => new error({ ...(body as Schema.Struct.Type<F>), ...(hidden?.rest as Rest) })
  }
}

/** A body of problem details. */
const problems = (body: Schema.Codec<object, unknown>, status: number) =>
  body.pipe(HttpApiSchema.asJson({ contentType: ProblemDetails.contentType }), HttpApiSchema.status(status))

/** An error that is final: the request has to change. */
export const final = <E extends Error>({
  body,
  error,
  fromBody,
  status,
  toBody
}: Travel<E>): Schema.Codec<E, unknown> =>
  body.pipe(
    Schema.decodeTo(Schema.toType(error), SchemaTransformation.transform({ decode: fromBody, encode: toBody })),
    HttpApiSchema.asJson({ contentType: ProblemDetails.contentType }),
    HttpApiSchema.status(status)
  )

/** Errors of one status after which the same request may be answered otherwise a little later: with `Retry-After`. */
const passing = <const T extends ReadonlyArray<Pick<Travel, "error">>>(
  status: number,
  travels: T
): Schema.Codec<T[number]["error"]["Type"], unknown> => {
  const all = travels as unknown as ReadonlyArray<Travel>
  return Schema.Union(all.map(({ error }) => error)).pipe(
    HttpApiSchema.encodeToWithHeaders(
      { body: problems(Schema.Union(all.map(({ body }) => body)), status), headers: { "retry-after": Schema.Int } },
      {
        decode: ({ body }) => all.find(({ code }) => code === (body as { error?: unknown }).error)!.fromBody(body),
        encode: (e) => ({
          body: all.find(({ is }) => is(e))!.toBody(e),
          headers: { "retry-after": retryAfterSeconds }
        })
      }
    )
  ) as never
}

/** What this replica cannot do now: 503. */
export const unavailable = <const T extends ReadonlyArray<Pick<Travel, "error">>>(...travels: T) =>
  passing(503, travels)

/** What this client has asked too often: 429. */
export const limited = <const T extends Pick<Travel, "error">>(one: T) => passing(429, [one])

/**
 * The write is durable here and may still spread: 504, with where to ask about it. Without `Retry-After`: a client that
 * obeys one would send the write again, which is another write (law L69).
 */
export const unmet = <E extends Error & { readonly writeId: string }>({
  body,
  error,
  fromBody,
  status,
  toBody
}: Travel<E>): Schema.Codec<E, unknown> =>
  error.pipe(
    HttpApiSchema.encodeToWithHeaders(
      { body: problems(body, status), headers: { location: Schema.String } },
      {
        decode: (answer) => fromBody(answer.body),
        encode: (e) => ({ body: toBody(e), headers: { location: `/v1/writes/${encodeURIComponent(e.writeId)}` } })
      }
    )
  ) as never
