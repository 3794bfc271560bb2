/**
 * The handler of many reads in one request.
 */
import { ClientSessions, Records } from "@quorum/core"
import { ServerLimits } from "@quorum/core/adapter"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { ClientApi } from "./ClientApi.ts"
import * as ClientTokens from "./ClientTokens.ts"
import { makeReport, namingParameter } from "./commits.ts"
import * as Reads from "./reads.ts"
import * as RequestLines from "./requestLines.ts"
import * as Sessions from "./sessions.ts"

/** The handler. */
export const layer = HttpApiBuilder.group(
  ClientApi,
  "reads",
  Effect.fnUntraced(function* (handlers) {
    const records = yield* Records.Records
    const sessions = yield* ClientSessions.ClientSessions
    const report = makeReport()
    return handlers.handleRaw("read", ({ headers, query, request }) => {
      const other = RequestLines.otherType(request)
      if (other !== undefined) return Effect.fail(other)
      const read: Reads.Read = (namespace, key) =>
        namingParameter(records.newest(namespace, key, query)).pipe(Effect.tapError(report))
      // What all of them come after is waited for once, and not by each for as long as it may take.
      return Sessions.arrived(sessions, headers).pipe(
        Effect.tapError(report),
        Effect.andThen(ClientTokens.whileAllowed),
        Effect.map((allowed) => {
          const lines = RequestLines.of(
            request.stream,
            (bytes) => ServerLimits.keepsOfLine(request.source, bytes),
            "a line is { namespace, key }"
          )
          return RequestLines.responseOf(
            Reads.textOf(
              allowed(Reads.found(lines, read, Sessions.arrived(sessions, headers, 0))),
              Sessions.afterMany(sessions, headers)
            )
          )
        })
      )
    })
  })
)
