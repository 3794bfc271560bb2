/**
 * The handlers of the client API. What is decided here is how core's answers travel; what they are is core's.
 */
import {
  ClientSessions,
  Entry,
  Limits,
  QuorumError,
  QuorumWriter,
  Receipt,
  Records,
  ReplicaStatus,
  type StampToken
} from "@quorum/core"
import { Effect, Layer, Option, Schema } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import * as Answers from "./answers.ts"
import * as BatchHandlers from "./BatchHandlers.ts"
import * as ChangesHandlers from "./ChangesHandlers.ts"
import { readJson, readValue } from "./bodies.ts"
import { ClientApi } from "./ClientApi.ts"
import * as ClientApiErrors from "./ClientApiErrors.ts"
import { asked, makeReport, namingParameter, namingW } from "./commits.ts"
import { withoutDetails } from "./ErrorTravel.ts"
import * as Exports from "./exports.ts"
import * as Feeds from "./feeds.ts"
import * as Pieces from "./pieces.ts"
import * as ReadsHandlers from "./ReadsHandlers.ts"
import * as RecordPages from "./RecordPages.ts"
import * as Sessions from "./sessions.ts"
import * as Values from "./values.ts"

/** How many records a page holds when nothing is asked for. */
const defaultPageLimit = 100

/** A page as it travels: without `next` it is the last. */
const withNext = <N, P>({ next, ...page }: P & { readonly next: Option.Option<N> }) => ({
  ...page,
  ...Option.match(next, { onNone: () => ({}), onSome: (next) => ({ next }) })
})

/** What a request says of a stamp, or of a key. */
interface Stamped {
  readonly "quorum-stamp"?: StampToken.StampToken
  readonly "idempotency-key"?: string
}

const recordsHandlers = HttpApiBuilder.group(
  ClientApi,
  "records",
  Effect.fnUntraced(function* (handlers) {
    const writer = yield* QuorumWriter.QuorumWriter
    const records = yield* Records.Records
    const sessions = yield* ClientSessions.ClientSessions
    const { valueBytes } = yield* Limits.Limits
    const report = makeReport()
    const commit = (write: Entry.Write, w: number | undefined, headers: Stamped & Sessions.Asked) =>
      writer
        .commit(write, asked(w, headers["quorum-stamp"], headers))
        .pipe(namingW, Effect.tapError(report), Sessions.afterWrite(sessions, headers))
    /** What is answered from all that is here, and the session after it. */
    const seen = <A>(answer: Effect.Effect<A, Records.PageError>, headers: Sessions.Asked) =>
      namingParameter(answer).pipe(
        Effect.tap(() => Effect.flatMap(sessions.afterPage(Sessions.of(headers)), Sessions.say)),
        Effect.tapError(report)
      )
    const answered = <N, P>(
      page: Effect.Effect<P & { readonly next: Option.Option<N> }, Records.PageError>,
      headers: Sessions.Asked
    ) => Effect.map(seen(page, headers), withNext)
    const page = (options: Partial<Records.PageOptions>, headers: Sessions.Asked) =>
      Effect.map(
        seen(records.page({ limit: defaultPageLimit, ...options, ...Sessions.option(headers) }), headers),
        (page) => Pieces.answer(RecordPages.textsOf(page))
      )
    return handlers
      .handleRaw("put", ({ headers, params: { key, namespace }, query, request }) =>
        Effect.flatMap(readValue(request, valueBytes), (value) =>
          Effect.map(
            commit(Entry.put(namespace, key, value, Values.typeOf(request.headers["content-type"])), query.w, headers),
            Answers.ofReceipt(201)
          )
        )
      )
      .handle("get", ({ headers, params: { key, namespace }, query, request }) =>
        namingParameter(records.newest(namespace, key, { ...query, ...Sessions.option(headers) })).pipe(
          Effect.tapError(report),
          Effect.tap((newest) => Effect.flatMap(sessions.afterRead(Sessions.of(headers), newest), Sessions.say)),
          Effect.flatMap((newest) =>
            Option.isNone(newest) || newest.value.deleted
              ? Effect.fail(new ClientApiErrors.RecordNotFound({ namespace, key }))
              : Effect.succeed(Values.answer(newest.value, request.headers["if-none-match"]))
          )
        )
      )
      .handle("remove", ({ headers, params: { key, namespace }, query }) =>
        Effect.map(commit(Entry.remove(namespace, key), query.w, headers), Answers.ofReceipt(200))
      )
      .handle("list", ({ headers, query }) => page(query, headers))
      .handle("listNamespace", ({ headers, params, query, request }) =>
        Feeds.isLinesOnly(request.headers["accept"])
          ? Exports.answer(records.page, { ...params, ...query, ...Sessions.option(headers) }, report)
          : page({ ...params, ...query }, headers)
      )
      .handle("listKeys", ({ headers, params, query }) =>
        answered(records.keys({ limit: defaultPageLimit, ...params, ...query, ...Sessions.option(headers) }), headers)
      )
      .handle("listNamespaces", ({ headers, query }) =>
        answered(records.namespaces({ limit: defaultPageLimit, ...query, ...Sessions.option(headers) }), headers)
      )
      .handle("countNamespace", ({ headers, params, query }) =>
        Effect.map(
          seen(records.count({ ...params, ...query, ...Sessions.option(headers) }), headers),
          ({ count, unreadable }) => ({ ...params, records: count, unreadable })
        )
      )
  })
)

const writesHandlers = HttpApiBuilder.group(
  ClientApi,
  "writes",
  Effect.fnUntraced(function* (handlers) {
    const writer = yield* QuorumWriter.QuorumWriter
    const sessions = yield* ClientSessions.ClientSessions
    const report = makeReport()
    return handlers
      .handle("status", ({ params }) =>
        Effect.tapError(
          Effect.map(writer.status(params.id), (known) => ({ ...known, verdicts: withoutDetails(known.verdicts) })),
          report
        )
      )
      .handle("resume", ({ headers, params, query }) =>
        writer
          .resume(params.id, asked(query.w))
          .pipe(
            namingW,
            Effect.tapError(report),
            Sessions.afterWrite(sessions, headers),
            Effect.map(Answers.ofReceipt(200))
          )
      )
  })
)

/** The most bytes of a receipt: verdicts and acks of a few hundred replicas. */
const maxReceiptBytes = 64 * 1024

const decodeReceipt = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.toCodecJson(Receipt.Receipt)))

const receiptsHandlers = HttpApiBuilder.group(
  ClientApi,
  "receipts",
  Effect.fnUntraced(function* (handlers) {
    const writer = yield* QuorumWriter.QuorumWriter
    return handlers.handleRaw("verify", ({ request }) =>
      Effect.gen(function* () {
        const receipt = yield* readJson(request, maxReceiptBytes, decodeReceipt)
        return yield* namingParameter(writer.verify(receipt))
      })
    )
  })
)

const replicaHandlers = HttpApiBuilder.group(
  ClientApi,
  "replica",
  Effect.fnUntraced(function* (handlers) {
    const status = yield* ReplicaStatus.ReplicaStatus
    return handlers
      .handle("status", () => Effect.sync(status.current))
      .handle("healthz", () =>
        Effect.suspend(() => {
          const { storeFault } = status.current()
          return storeFault === null
            ? Effect.succeed({ status: "ok" as const })
            : Effect.fail(new ClientApiErrors.Unhealthy({ reason: storeFault.reason }))
        })
      )
      .handle("readyz", () =>
        Effect.suspend(() => {
          const detail = notReady(status.current())
          return detail === undefined
            ? Effect.succeed({ status: "ok" as const })
            : Effect.fail(new QuorumError.NotReady({ detail }))
        })
      )
  })
)

/** The handlers of all endpoints. */
export const layer = Layer.mergeAll(
  recordsHandlers,
  ReadsHandlers.layer,
  BatchHandlers.layer,
  ChangesHandlers.layer,
  writesHandlers,
  receiptsHandlers,
  replicaHandlers
)

// ---------------------------------------------------------------------------------------------------------------------

/** Why a write with the usual policy could not be committed here now, or not be read; `undefined` when it could. */
const notReady = ({ readable, ...status }: ReplicaStatus.Status): string | undefined => {
  const { obstacle, peers, policy, recovered, storeFault } = status
  if (storeFault !== null) return `its store fails (${storeFault.reason})`
  if (obstacle !== null) return obstacle
  if (!readable) return "its record index is built again from the logs"
  if (!recovered) return "it has not heard of the end of its own log yet"
  const alive = 1 + peers.filter(({ link, voting }) => link === "up" && voting).length
  return alive >= policy.w ? undefined : `${alive} of ${policy.n} replicas are up, and a write needs ${policy.w}`
}
