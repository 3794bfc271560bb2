/**
 * The errors of the client API: core's errors, and how each of them travels.
 *
 * Every error of every endpoint has the same shape (law L17): a status, a JSON body with `error` (what a program
 * branches on), `message` (for people) and what else is known, and with every 503 a `Retry-After` header in seconds. A
 * typed client gets core's error classes back.
 */
import { WriteId, QuorumError, Records } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Schema, SchemaTransformation } from "effect"
import { HttpApiMiddleware, HttpApiSchema } from "effect/http-api"

/** A parameter cannot be used. `field` is its name. Nothing was written. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  field: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `invalid request, ${this.field}: ${this.detail}`
  }
}

/** The key was never written, as far as this replica knows, or is deleted. */
export class RecordNotFound extends Schema.TaggedError<RecordNotFound>()("RecordNotFound", {
  namespace: Schema.String,
  key: Schema.String
}) {
  override get message(): string {
    return `there is no record ${JSON.stringify(this.key)} in ${JSON.stringify(this.namespace)}`
  }
}

/** The replica answers and does not work. `reason` is its store's; what exactly is in this replica's log. */
export class Unhealthy extends Schema.TaggedError<Unhealthy>()("Unhealthy", {
  reason: ReplicaStore.StoreErrorReason
}) {
  override get message(): string {
    return `the store of this replica fails (${this.reason}); its log says why`
  }
}

/** Seconds after which it makes sense to ask again. */
const retryAfterSeconds = 1

/** How an error travels: its `error`, the fields of it that a client may see, and the way back. */
interface Travel<E extends Error> {
  readonly error: Schema.Codec<E, unknown>
  readonly code: string
  readonly body: Schema.Codec<object, unknown>
  readonly toBody: (error: E) => object
  readonly fromBody: (body: object) => E
}

const travel = <E extends Error, F extends Schema.Struct.Fields>(
  error: Schema.Codec<E, unknown>,
  code: string,
  fields: F,
  /** The error again, from the fields of the body. */
  fromBody: (body: Schema.Struct.Type<F>) => E,
  /** What people are told instead of the error's own message, when that is not for strangers. */
  message?: string
): Travel<E> => ({
  error,
  code,
  body: Schema.Struct({
    error: Schema.tag(code),
    ...fields,
    message: Schema.String
  }) as unknown as Schema.Codec<object, unknown>,
  toBody: (e) => {
    const known: Record<string, unknown> = { error: code, message: message ?? e.message }
    for (const field of Object.keys(fields)) {
      const value = (e as unknown as Record<string, unknown>)[field]
      if (value !== undefined) known[field] = field === "verdicts" ? withoutDetails(value) : value
    }
    return known
  },
  fromBody: (body) => fromBody(body as unknown as Schema.Struct.Type<F>)
})

/** The details of verdicts name addresses and libraries: they are in the replica's status and log, not for clients. */
const withoutDetails = (verdicts: unknown): object =>
  Object.fromEntries(
    Object.entries(verdicts as QuorumError.Verdicts).map(([id, verdict]) => {
      if (!("detail" in verdict)) return [id, verdict]
      const { detail: _, ...rest } = verdict
      return [id, rest]
    })
  )

/** An error that is final: the request has to change. */
const withStatus = <E extends Error>(
  status: number,
  { body, error, fromBody, toBody }: Travel<E>
): Schema.Codec<E, unknown> =>
  body.pipe(
    Schema.decodeTo(Schema.toType(error), SchemaTransformation.transform({ decode: fromBody, encode: toBody })),
    HttpApiSchema.status(status)
  )

/** Errors after which the same request may be answered otherwise a little later: 503, with `Retry-After`. */
const unavailable = <const T extends ReadonlyArray<Pick<Travel<Error>, "error">>>(
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
const unmet = <E extends Error & { readonly writeId: string }>({
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

/** Every endpoint answers parameters that do not decode with 400 `invalid_request`, naming the field. */
export class InvalidRequests extends HttpApiMiddleware.Service<InvalidRequests>()(
  "@quorum/http/ClientApi/InvalidRequests",
  {
    error: withStatus(
      400,
      travel(
        InvalidRequest,
        "invalid_request",
        { field: Schema.String, detail: Schema.String },
        (body) => new InvalidRequest(body)
      )
    )
  }
) {}

/** Every endpoint refuses what it would not look at: see `RequestRules`. The answers are those of {@link InvalidRequests}. */
export class StrictRequests extends HttpApiMiddleware.Service<StrictRequests>()(
  "@quorum/http/ClientApi/StrictRequests"
) {}

/** The record is not there. */
const recordNotFound = withStatus(
  404,
  travel(
    RecordNotFound,
    "not_found",
    { namespace: Schema.String, key: Schema.String },
    (body) => new RecordNotFound(body)
  )
)

/** The write is not held by this replica. */
const writeUnknown = withStatus(
  404,
  travel(
    QuorumError.WriteUnknown,
    "write_unknown",
    { writeId: WriteId.WriteId },
    (body) => new QuorumError.WriteUnknown(body)
  )
)

/** The write of `atLeast` has not arrived yet. */
const notYetVisible = travel(
  Records.NotYetVisible,
  "not_yet_visible",
  { writeId: WriteId.WriteId },
  (body) => new Records.NotYetVisible(body)
)

/** A read failed at the store. What exactly is in this replica's log, because it names files. */
const storeFailed = travel(
  ReplicaStore.StoreError,
  "store_failed",
  { reason: ReplicaStore.StoreErrorReason },
  ({ reason }) => new ReplicaStore.StoreError({ reason, detail: "the replica's own log says more" }),
  "this replica cannot read its store now; its log says why"
)

/** Durable here, not known to be on W replicas. `resume` the write; never write it again blindly. */
const quorumNotMet = travel(
  QuorumError.QuorumNotMet,
  "quorum_not_met",
  {
    got: Schema.Int,
    needed: Schema.Int,
    reason: QuorumError.Reason,
    writeId: WriteId.WriteId,
    verdicts: QuorumError.Verdicts
  },
  (body) => new QuorumError.QuorumNotMet(body)
)

/** Too few members are alive; nothing was written. */
const quorumUnavailable = travel(
  QuorumError.QuorumUnavailable,
  "quorum_unavailable",
  { alive: Schema.Int, needed: Schema.Int, verdicts: QuorumError.Verdicts },
  (body) => new QuorumError.QuorumUnavailable(body)
)

/** The local append failed; nothing was written. What exactly is in this replica's log, because it names files. */
const localWriteFailed = travel(
  QuorumError.LocalWriteFailed,
  "local_write_failed",
  {},
  () => new QuorumError.LocalWriteFailed({ detail: "the replica's own log says more" }),
  "this replica cannot append to its store now, its log says why; nothing was written, safe to retry"
)

/** Refused before anything was done; nothing was written. */
const writeRejected = (reason: QuorumError.WriteRejected["reason"]) =>
  travel(
    QuorumError.WriteRejected,
    "write_rejected",
    { field: Schema.String, detail: Schema.String, reason: Schema.Literal(reason) },
    (body) => new QuorumError.WriteRejected(body)
  )

/** Too many writes wait already; nothing was written. */
const overloaded = travel(
  QuorumError.Overloaded,
  "overloaded",
  { detail: Schema.String },
  (body) => new QuorumError.Overloaded(body)
)

/** This replica is closing; nothing was written. */
const replicaClosing = travel(QuorumError.ReplicaClosing, "replica_closing", {}, () => new QuorumError.ReplicaClosing())

/** This replica has started and may not append yet; nothing was written. */
const notReady = travel(
  QuorumError.NotReady,
  "not_ready",
  { detail: Schema.String },
  (body) => new QuorumError.NotReady(body)
)

/** It is not known whether the write took place. What exactly is in this replica's log, because it names files. */
const writeUncertain = travel(
  QuorumError.WriteUncertain,
  "write_uncertain",
  {},
  () => new QuorumError.WriteUncertain({ detail: "the replica's own log says more" }),
  "this replica cannot say whether the write took place; its log says why"
)

/** What a commit may be answered with instead of a receipt. */
export const ofCommit = [
  unmet(quorumNotMet),
  withStatus(500, writeUncertain),
  unavailable(quorumUnavailable, localWriteFailed, overloaded, replicaClosing, notReady),
  withStatus(400, writeRejected("invalid")),
  withStatus(413, writeRejected("too_large"))
] as const

/** What a read of a record may be answered with instead of its value. */
export const ofRead = [recordNotFound, unavailable(notYetVisible, storeFailed)] as const

/** What a page may be answered with instead of records. */
export const ofPage = unavailable(storeFailed)

/** What a question about a write may be answered with. */
export const ofWriteStatus = [writeUnknown, unavailable(storeFailed)] as const

/** What a resumed write may be answered with instead of its receipt. */
export const ofResume = [writeUnknown, unmet(quorumNotMet), unavailable(storeFailed)] as const

/** What a question about the replica's health may be answered with. */
export const ofHealth = unavailable(
  travel(Unhealthy, "unhealthy", { reason: ReplicaStore.StoreErrorReason }, (body) => new Unhealthy(body))
)

/** What a question about its readiness may be answered with. */
export const ofReadiness = unavailable(notReady)
