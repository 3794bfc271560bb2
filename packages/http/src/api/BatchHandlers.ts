/**
 * The handlers of many writes in one request, and of the stamps by which writes may be repeated.
 */
import { ClientSessions, type Entry, QuorumWriter, type StampToken } from "@quorum/core"
import { Effect, Exit, Layer, Schema } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import * as Answers from "./answers.ts"
import * as Batches from "./batches.ts"
import { readJson } from "./bodies.ts"
import { ClientApi } from "./ClientApi.ts"
import * as ClientApiErrors from "./ClientApiErrors.ts"
import { asked, makeReport, namedW, namingW, shown } from "./commits.ts"
import * as Sessions from "./sessions.ts"
import { Keys } from "./WritesApi.ts"

const notOne = new ClientApiErrors.InvalidRequest({
  field: "quorum-stamp",
  detail: "a stamp is one write's, and each line is a write; a line says its own as `stamp`"
})

const isLines = (type: string | undefined): boolean => /^application\/x-ndjson *(;|$)/i.test(type ?? "")

const batchHandlers = HttpApiBuilder.group(
  ClientApi,
  "batch",
  Effect.fnUntraced(function* (handlers) {
    const writer = yield* QuorumWriter.QuorumWriter
    const sessions = yield* ClientSessions.ClientSessions
    const report = makeReport()
    return handlers.handleRaw("commit", ({ headers, query, request }) => {
      const { "quorum-stamp": stamp } = headers
      const type = request.headers["content-type"]
      if (!isLines(type)) return Effect.fail(new ClientApiErrors.UnsupportedMediaType({ contentType: type ?? "none" }))
      if (stamp !== undefined && query.atomic !== true) return Effect.fail(notOne)
      const commit = (writes: Entry.Writes, stamp: StampToken.StampToken | undefined) =>
        writer.commit(writes, asked(query.w, stamp, headers)).pipe(Effect.map(shown), namingW, Effect.tapError(report))
      const lines = Batches.linesOf(request.stream)
      const finish = Sessions.afterLines(sessions, headers)
      if (query.atomic === true) return Effect.succeed(Answers.responseOf(Batches.atomic(lines, commit, finish, stamp)))
      const each: Parameters<typeof Batches.each>[1] = (writes, stamp, done) =>
        writer.commitUnsafe(
          writes,
          (outcome) => done(Exit.mapBoth(outcome, { onSuccess: shown, onFailure: namedW })),
          asked(query.w, stamp, headers)
        )
      return Effect.succeed(Answers.responseOf(Batches.each(lines, each, report, finish)))
    })
  })
)

/** The most bytes of the keys of a stamp, as JSON: names take up to six bytes a byte there. */
const maxKeysBytes = 64 * 1024

/** The most bytes of the keys of many stamps. */
const maxEachBytes = 1024 * 1024

const decodeKeys = Schema.decodeUnknownEffect(Schema.fromJsonString(Keys))

const stampsHandlers = HttpApiBuilder.group(
  ClientApi,
  "stamps",
  Effect.fnUntraced(function* (handlers) {
    const writer = yield* QuorumWriter.QuorumWriter
    const report = makeReport()
    const draw = (keys: Parameters<typeof writer.stamp>[0], headers: Sessions.Asked) =>
      writer.stamp(keys, Sessions.option(headers)).pipe(namingW, Effect.tapError(report))
    return handlers
      .handleRaw("draw", ({ headers, request }) =>
        Effect.flatMap(readJson(request, maxKeysBytes, decodeKeys), ({ keys }) =>
          Effect.map(draw(keys, headers), (stamp) => ({ stamp }))
        )
      )
      .handleRaw("drawEach", ({ headers, request }) =>
        Effect.flatMap(readJson(request, maxEachBytes, decodeKeys), ({ keys }) =>
          // At once, so that a majority is asked once for all of them.
          Effect.map(
            Effect.forEach(keys, (key) => draw(key, headers), { concurrency: "unbounded" }),
            (stamps) => ({ stamps })
          )
        )
      )
  })
)

/** The handlers of batches and of stamps. */
export const layer = Layer.mergeAll(batchHandlers, stampsHandlers)
