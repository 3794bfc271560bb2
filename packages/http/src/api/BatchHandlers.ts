/**
 * The handlers of many writes in one request, and of the stamps by which writes may be repeated.
 */
import { ClientSessions, type Entry, Limits, QuorumWriter, type StampToken } from "@quorum/core"
import { ServerLimits } from "@quorum/core/adapter"
import { Array as Arr, Effect, Exit, Layer, Predicate, Result, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import * as Batches from "./batches.ts"
import { readJson } from "./bodies.ts"
import { ClientApi } from "./ClientApi.ts"
import * as ClientApiErrors from "./ClientApiErrors.ts"
import * as ClientTokens from "./ClientTokens.ts"
import { asked, makeReport, namedW, namingW } from "./commits.ts"
import * as RequestLines from "./requestLines.ts"
import * as Sessions from "./sessions.ts"
import { Keys } from "./WritesApi.ts"

const notOne = new ClientApiErrors.InvalidRequest({
  field: "quorum-stamp",
  detail: "a stamp is one write's, and each line is a write; a line says its own as `stamp`"
})

const notOneKey = new ClientApiErrors.InvalidRequest({
  field: "idempotency-key",
  detail: "a key is one write's, and each line is a write; a line may have a stamp"
})

const batchHandlers = HttpApiBuilder.group(
  ClientApi,
  "batch",
  Effect.fnUntraced(function* (handlers) {
    const writer = yield* QuorumWriter.QuorumWriter
    const sessions = yield* ClientSessions.ClientSessions
    const limits = yield* Limits.Limits
    const report = makeReport()
    return handlers.handleRaw("commit", ({ headers, query, request }) => {
      const { "quorum-stamp": stamp } = headers
      const other = RequestLines.otherType(request)
      if (other !== undefined) return Effect.fail(other)
      if (stamp !== undefined && query.atomic !== true) return Effect.fail(notOne)
      if (headers["idempotency-key"] !== undefined && query.atomic !== true) return Effect.fail(notOneKey)
      const commit = (writes: Entry.Writes, stamp: StampToken.StampToken | undefined) =>
        writer.commit(writes, asked(query.w, stamp, headers)).pipe(namingW, Effect.tapError(report))
      const session = Sessions.afterLines(sessions, headers)
      const each: Parameters<typeof Batches.each>[1] = (writes, stamp, done) =>
        writer.commitUnsafe(writes, (outcome) => done(Exit.mapError(outcome, namedW)), asked(query.w, stamp, headers))
      return Effect.map(ClientTokens.whileAllowed, (allowed) => {
        const lines = RequestLines.of(
          allowed(request.stream),
          (bytes) => ServerLimits.keepsOfLine(request.source, bytes),
          "send such a value as text"
        )
        return RequestLines.responseOf(
          query.atomic === true
            ? Batches.atomic(lines, commit, session, stamp, limits)
            : Batches.each(lines, each, report, session)
        )
      })
    })
  })
)

/** The most bytes of the keys of a stamp, or of several, as JSON: those of a write of thousands of records. */
const maxKeysBytes = 1024 * 1024

/** How many stamps are drawn at once, each for a key. */
const drawnAtOnce = 1000

const decodeKeys = Schema.decodeUnknownEffect(Schema.fromJsonString(Keys), { onExcessProperty: "error" })

/** The keys of a body. What is wrong with it the schema says. */
const keysOf = (text: string): Effect.Effect<typeof Keys.Type, Schema.SchemaError> => {
  const json = Result.try(() => JSON.parse(text) as unknown)
  return Result.isSuccess(json) && isKeys(json.success) ? Effect.succeed(json.success) : decodeKeys(text)
}

const isKeys = (json: unknown): json is typeof Keys.Type =>
  Predicate.hasProperty(json, "keys") &&
  Object.keys(json).length === 1 &&
  Array.isArray(json.keys) &&
  json.keys.length > 0 &&
  json.keys.every(isKey)

const isKey = (json: unknown): boolean =>
  Predicate.isObject(json) &&
  Object.keys(json).length === 2 &&
  Predicate.isString(json["namespace"]) &&
  Predicate.isString(json["key"])

const stampsHandlers = HttpApiBuilder.group(
  ClientApi,
  "stamps",
  Effect.fnUntraced(function* (handlers) {
    const writer = yield* QuorumWriter.QuorumWriter
    const report = makeReport()
    const said = <A, E extends QuorumWriter.CommitError>(drawn: Effect.Effect<A, E>) =>
      drawn.pipe(namingW, Effect.tapError(report))
    return handlers
      .handleRaw("draw", ({ headers, request }) =>
        Effect.flatMap(readJson(request, maxKeysBytes, keysOf), ({ keys }) =>
          Effect.map(said(writer.stamp(keys, Sessions.option(headers))), (stamp) => ({ stamp }))
        )
      )
      .handleRaw("drawEach", ({ headers, request }) =>
        Effect.flatMap(readJson(request, maxKeysBytes, keysOf), ({ keys }) =>
          Effect.map(
            // Others have their turn while stamps of very many keys are drawn.
            Effect.forEach(Arr.chunksOf(keys, drawnAtOnce), (some) =>
              Effect.andThen(Effect.yieldNow, said(writer.stampEach(some, Sessions.option(headers))))
            ),
            (stamps) => HttpServerResponse.jsonUnsafe({ stamps: stamps.flat() }, { status: 201 })
          )
        )
      )
  })
)

/** The handlers of batches and of stamps. */
export const layer = Layer.mergeAll(batchHandlers, stampsHandlers)
