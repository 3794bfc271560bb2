/**
 * The handlers of the client API. What is decided here is how core's answers travel; what they are is core's.
 */
import { Entry, type LogId, QuorumError, QuorumWriter, Records } from "@quorum/core"
import { PeerProtocol, Peers, ReplicaLogs } from "@quorum/core/adapter"
import { ByteSize, Effect, Layer, Option } from "effect"
import { HttpIncomingMessage, type HttpServerRequest } from "effect/http"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { ClientApi, type Cursor, type PeerStatus } from "./ClientApi.ts"
import * as ClientApiErrors from "./ClientApiErrors.ts"

/** How many records a page holds when nothing is asked for, and bytes of values after which a page ends early. */
const defaultPageLimit = 100
const pageBytes = 4 * 1024 * 1024

/** How many keys are read at once for a page, so that a page of large values is never all in memory. */
const pageStep = 16

/** Reads the value of a put, and no more of it than a value may be (law L42). */
const readValue = (request: HttpServerRequest.HttpServerRequest, limit: number) => {
  const rejected = (reason: "too_large" | "invalid", detail: string) =>
    Effect.fail(new QuorumError.WriteRejected({ field: "value", reason, detail }))
  const announced = Number(request.headers["content-length"])
  if (announced > limit) return rejected("too_large", `${announced} bytes, the limit is ${limit}`)
  return request.arrayBuffer.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(limit)),
    Effect.matchEffect({
      onSuccess: (buffer) => Effect.succeed(new Uint8Array(buffer)),
      onFailure: ({ reason }) =>
        reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
          ? rejected("too_large", `more than the limit of ${limit} bytes`)
          : rejected("invalid", "the body could not be read to its end")
    })
  )
}

/** The one policy that a request can get wrong is `?w=`. */
const namingW = <A, E, R>(effect: Effect.Effect<A, E | QuorumError.InvalidPolicy, R>) =>
  Effect.catch(
    effect,
    (error): Effect.Effect<never, Exclude<E, QuorumError.InvalidPolicy> | ClientApiErrors.InvalidRequest> =>
      error instanceof QuorumError.InvalidPolicy
        ? Effect.fail(new ClientApiErrors.InvalidRequest({ field: "w", detail: error.detail }))
        : Effect.fail(error as Exclude<E, QuorumError.InvalidPolicy>)
  )

/** What a request asks of `w`, for core to decide. */
const asked = (w: number | undefined) => (w === undefined ? {} : { w })

/** What went wrong in the store is for the operator; the client is told that it did. Once per failure of a batch. */
const makeReport = () => {
  const reported = new WeakSet<object>()
  return (error: { readonly _tag: string; readonly message: string }): Effect.Effect<void> => {
    if ((error._tag !== "LocalWriteFailed" && error._tag !== "StoreError") || reported.has(error)) return Effect.void
    reported.add(error)
    return Effect.logError(error.message)
  }
}

const recordsHandlers = HttpApiBuilder.group(
  ClientApi,
  "records",
  Effect.fnUntraced(function* (handlers) {
    const writer = yield* QuorumWriter.QuorumWriter
    const records = yield* Records.Records
    const report = makeReport()
    const commit = (write: Entry.Write, w: number | undefined) =>
      writer.commit(write, asked(w)).pipe(namingW, Effect.tapError(report))
    const page = Effect.fnUntraced(function* (after: typeof Cursor.Type | undefined, limit: number) {
      const found: Array<Records.Record> = []
      let next = after
      let bytes = 0
      for (let left = limit; left > 0 && bytes < pageBytes; left -= pageStep) {
        const step = Math.min(left, pageStep)
        const part = yield* records.page({ limit: step, ...(next === undefined ? {} : { after: next }) })
        for (const record of part.records) {
          found.push(record)
          bytes += record.value.length
        }
        next = Option.getOrUndefined(part.next)
        if (next === undefined) return { records: found }
      }
      return { records: found, ...(next === undefined ? {} : { next }) }
    })
    return handlers
      .handleRaw("put", ({ params: { key, namespace }, query, request }) =>
        Effect.flatMap(readValue(request, writer.limits.valueBytes), (value) =>
          commit({ kind: "put", namespace, key, value }, query.w)
        )
      )
      .handle("get", ({ params: { key, namespace }, query }) =>
        Effect.flatMap(
          Effect.tapError(records.read(namespace, key, query), report),
          Option.match({
            onNone: () => Effect.fail(new ClientApiErrors.RecordNotFound({ namespace, key })),
            onSome: ({ value, writeId }) =>
              Effect.succeed(HttpApiSchema.withHeaders({ body: value, headers: { "quorum-write-id": writeId } }))
          })
        )
      )
      .handle("remove", ({ params: { key, namespace }, query }) => commit(Entry.remove(namespace, key), query.w))
      .handle("list", ({ query }) => Effect.tapError(page(query.after, query.limit ?? defaultPageLimit), report))
  })
)

const writesHandlers = HttpApiBuilder.group(
  ClientApi,
  "writes",
  Effect.fnUntraced(function* (handlers) {
    const writer = yield* QuorumWriter.QuorumWriter
    return handlers
      .handle("status", ({ params }) => writer.status(params.id))
      .handle("resume", ({ params, query }) => namingW(writer.resume(params.id, asked(query.w))))
  })
)

const replicaHandlers = HttpApiBuilder.group(
  ClientApi,
  "replica",
  Effect.fnUntraced(function* (handlers) {
    const writer = yield* QuorumWriter.QuorumWriter
    const logs = yield* ReplicaLogs.ReplicaLogs
    const peers = yield* Peers.Peers
    return handlers
      .handle("status", () =>
        Effect.sync(() => ({
          identity: logs.identity,
          log: logs.own,
          protocolVersion: PeerProtocol.version,
          policy: writer.policy,
          vector: logs.vector(),
          peers: peers.all().map((peer) => peerStatus(peer, logs.own, logs.head(logs.own).seq))
        }))
      )
      .handle("healthz", () => Effect.succeed({ status: "ok" as const }))
  })
)

/** The handlers of all endpoints. */
export const layer = Layer.mergeAll(recordsHandlers, writesHandlers, replicaHandlers)

// ---------------------------------------------------------------------------------------------------------------------

const peerStatus = (
  { clockSkewMillis, drifted, id, link, watermarks }: Peers.PeerState,
  own: LogId.LogId,
  head: number
): typeof PeerStatus.Type => {
  const watermark = watermarks.get(own)?.seq ?? 0
  const down = link._tag === "Down"
  return {
    replica: id,
    link: down ? "down" : link._tag === "Up" ? "up" : "connecting",
    since: link._tag === "Connecting" ? null : link.since,
    verdict: down ? link.verdict : null,
    detail: down ? link.detail : null,
    watermark,
    lag: Math.max(0, head - watermark),
    drifted: Array.from(drifted),
    clockSkewMillis: clockSkewMillis ?? null
  }
}
