/**
 * How an error becomes an answer and an answer the error again: with a status and headers, and with no more than a client
 * may see.
 */
import type { QuorumError } from "@quorum/core"
import { Record, Schema, SchemaTransformation } from "effect"
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

/** How an error travels: its `error`, the fields of it that a client may see, and the way back. */
export interface Travel<E extends Error> {
  readonly error: Schema.Codec<E, unknown>
  readonly code: string
  readonly body: Schema.Codec<object, unknown>
  readonly toBody: (error: E) => object
  readonly fromBody: (body: object) => E
  readonly bodyOf: AnyTravel["bodyOf"]
}

/** How some error travels: `bodyOf` is what a client may see of it; nothing when it is another error. */
export interface AnyTravel {
  readonly bodyOf: (error: Error) => object | undefined
}

/** Makes it, for an error of which these fields travel. */
export const travel = <E extends Error, F extends Schema.Struct.Fields>(
  error: Schema.Codec<E, unknown>,
  code: string,
  fields: F,
  /** The error again, from the fields of the body. */
  fromBody: (body: Schema.Struct.Type<F>) => E,
  /** What people are told instead of the error's own message, when that is not for strangers. */
  message?: string
): Travel<E> => {
  const isOf = Schema.is(error)
  const isBody = Schema.is(Schema.Struct(fields))
  const toBody = (e: E): object => {
    const known: Record<string, unknown> = { error: code, message: message ?? e.message }
    for (const field of Object.keys(fields)) {
      const value = (e as unknown as Record<string, unknown>)[field]
      if (value !== undefined)
        known[field] = field === "verdicts" ? withoutDetails(value as QuorumError.Verdicts) : value
    }
    return known
  }
  return {
    error,
    code,
    body: Schema.Struct({
      error: Schema.tag(code),
      ...fields,
      message: Schema.String
    }) as unknown as Schema.Codec<object, unknown>,
    toBody,
    bodyOf: (e) => (isOf(e) && isBody(e) ? toBody(e) : undefined),
    fromBody: (body) => fromBody(body as unknown as Schema.Struct.Type<F>)
  }
}

/** An error that is final: the request has to change. */
export const withStatus = <E extends Error>(
  status: number,
  { body, error, fromBody, toBody }: Travel<E>
): Schema.Codec<E, unknown> =>
  body.pipe(
    Schema.decodeTo(Schema.toType(error), SchemaTransformation.transform({ decode: fromBody, encode: toBody })),
    HttpApiSchema.status(status)
  )

/** Errors after which the same request may be answered otherwise a little later: 503, with `Retry-After`. */
export const unavailable = <const T extends ReadonlyArray<Pick<Travel<Error>, "error">>>(
  ...travels: T
): Schema.Codec<T[number]["error"]["Type"], unknown> => {
  const all = travels as unknown as ReadonlyArray<Travel<Error>>
  return Schema.Union(all.map(({ error }) => error)).pipe(
    HttpApiSchema.encodeToWithHeaders(
      {
        body: Schema.Union(all.map(({ body }) => body)).pipe(HttpApiSchema.status(503)),
        headers: { "retry-after": Schema.Int }
      },
      {
        decode: ({ body }) => all.find(({ code }) => code === (body as { error?: unknown }).error)!.fromBody(body),
        encode: (e) => ({
          body: all.find(({ error }) => Schema.is(error)(e))!.toBody(e),
          headers: { "retry-after": retryAfterSeconds }
        })
      }
    )
  ) as never
}

/**
 * The write is durable here and may still spread: 504, with where to ask about it. Without `Retry-After`: a client that
 * obeys one would send the write again, which is another write (law L69).
 */
export const unmet = <E extends Error & { readonly writeId: string }>({
  body,
  error,
  fromBody,
  toBody
}: Travel<E>): Schema.Codec<E, unknown> =>
  error.pipe(
    HttpApiSchema.encodeToWithHeaders(
      { body: body.pipe(HttpApiSchema.status(504)), headers: { location: Schema.String } },
      {
        decode: (answer) => fromBody(answer.body),
        encode: (e) => ({ body: toBody(e), headers: { location: `/v1/writes/${encodeURIComponent(e.writeId)}` } })
      }
    )
  ) as never

/** What a client may see of an error, where it travels in one of these ways. */
export const problemOf = (error: Error, travels: ReadonlyArray<AnyTravel>): object =>
  travels.map(({ bodyOf }) => bodyOf(error)).find((body) => body !== undefined) ?? {
    error: "internal",
    message: "something went wrong here; this replica's log says what"
  }
