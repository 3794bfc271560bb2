/**
 * The handler of the change feed. What ends it before its first line is an answer of its own, what ends it later its last
 * line.
 */
import { Changes, ClientSession, ClientSessions, QuorumError, Records } from "@quorum/core"
import { ReplicaServer } from "@quorum/core/adapter"
import { Effect, Pull, type Scope, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Forbidden, Unauthorized } from "./ApiErrors.ts"
import { idleMillis, maxFeeds } from "./ChangesApi.ts"
import { ClientApi } from "./ClientApi.ts"
import * as ClientApiErrors from "./ClientApiErrors.ts"
import * as ClientTokens from "./ClientTokens.ts"
import { makeReport, namingParameter } from "./commits.ts"
import * as Feeds from "./feeds.ts"
import { inTurns } from "./pieces.ts"
import { problemOf } from "./ProblemTable.ts"
import * as Sessions from "./sessions.ts"

/** The handler of changes. */
export const layer = HttpApiBuilder.group(
  ClientApi,
  "changes",
  Effect.fnUntraced(function* (handlers) {
    const records = yield* Records.Records
    const sessions = yield* ClientSessions.ClientSessions
    const closing = Effect.andThen(yield* ReplicaServer.Closing, Effect.fail(new QuorumError.ReplicaClosing()))
    const report = makeReport()
    let feeds = 0
    /** Counts a feed for as long as its request lasts. */
    const admitted = Effect.acquireRelease(
      Effect.suspend(() => (feeds < maxFeeds ? Effect.sync(() => void feeds++) : Effect.fail(tooMany))),
      () => Effect.sync(() => void feeds--)
    )
    return handlers.handle("follow", ({ headers, query, request }) => {
      const format = Feeds.formatOf(request.headers["accept"])
      if (format === undefined) {
        return Effect.fail(new ClientApiErrors.NotAcceptable({ accept: request.headers["accept"] ?? "" }))
      }
      const since = headers["last-event-id"] ?? query.since
      const feed = records.changes({ ...query, ...(since === undefined ? {} : { since }), idleMillis })
      // Whoever reads the records then does so at any replica: all that is before the position has to be there.
      const begunAnew = sessions.afterPage(Sessions.of(headers))
      const first = opened(feed).pipe(
        Effect.tapError(report),
        Effect.tapError((error) =>
          error instanceof Changes.ChangesForgotten ? Effect.flatMap(begunAnew, Sessions.say) : Effect.void
        ),
        namingParameter
      )
      const pages = Effect.andThen(admitted, first)
      return Effect.map(Effect.zip(pages, ClientTokens.whileAllowed), ([pages, allowed]) =>
        HttpServerResponse.stream(bytesOf(Stream.interruptWhen(allowed(pages), closing), format, begunAnew), {
          contentType: format.contentType,
          // A proxy that collects answers would hold every line back.
          headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
        })
      )
    })
  })
)

// ---------------------------------------------------------------------------------------------------------------------

const tooMany = new QuorumError.Overloaded({
  detail: `${maxFeeds} feeds are followed here already; follow at another replica, or end some`
})

type Pages = Stream.Stream<Changes.Page, Changes.ChangesError>

/** Takes the first page, which comes at once. What fails instead is the answer. The feed ends with its request. */
const opened = Effect.fnUntraced(function* (feed: Pages): Effect.fn.Return<Pages, Changes.ChangesError, Scope.Scope> {
  const pull = yield* Stream.toPull(feed)
  const first = yield* Pull.catchDone(pull, () => Effect.succeed([]))
  return Stream.concat(Stream.fromIterable(first), Stream.fromPull(Effect.succeed(pull)))
})

/** All that is sent, and why there is no more of it: what comes between may end an answer as if that were all. */
const bytesOf = (
  pages: Stream.Stream<Changes.Page, Changes.ChangesError | Unauthorized | Forbidden>,
  format: Feeds.Format,
  begunAnew: Effect.Effect<ClientSession.ClientSession>
) =>
  pages.pipe(
    Stream.flatMap((page) => inTurns(format.page(page))),
    Stream.concat(Stream.succeed(format.done)),
    Stream.catch((error) => {
      const { problem } = problemOf(error)
      if (!(error instanceof Changes.ChangesForgotten)) return Stream.succeed(format.end(problem))
      return Stream.fromEffect(
        Effect.map(begunAnew, (session) => format.end({ ...problem, session: ClientSession.encode(session) }))
      )
    }),
    Stream.prepend(format.opening === "" ? [] : [format.opening]),
    Stream.encodeText
  )
