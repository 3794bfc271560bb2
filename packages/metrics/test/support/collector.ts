/** An OpenTelemetry collector that keeps the JSON that it is sent, and reads it. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, Schema } from "effect"

const Attributes = Schema.Array(
  Schema.Struct({ key: Schema.String, value: Schema.Record(Schema.String, Schema.Unknown) })
)
const Resource = Schema.Struct({ attributes: Attributes })

const SpanJson = Schema.Struct({
  traceId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{32}$/)),
  spanId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/)),
  parentSpanId: Schema.optional(Schema.String),
  name: Schema.String,
  kind: Schema.Int,
  startTimeUnixNano: Schema.String,
  endTimeUnixNano: Schema.String,
  attributes: Attributes,
  links: Schema.Array(Schema.Struct({ traceId: Schema.String, spanId: Schema.String })),
  status: Schema.Struct({ code: Schema.Int })
})
const Traces = Schema.Struct({
  resourceSpans: Schema.Array(
    Schema.Struct({
      resource: Resource,
      scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(SpanJson) }))
    })
  )
})
const Logs = Schema.Struct({
  resourceLogs: Schema.Array(
    Schema.Struct({
      resource: Resource,
      scopeLogs: Schema.Array(
        Schema.Struct({
          logRecords: Schema.Array(
            Schema.Struct({
              severityText: Schema.String,
              body: Schema.Record(Schema.String, Schema.Unknown),
              attributes: Attributes
            })
          )
        })
      )
    })
  )
})

const decodeTraces = Schema.decodeUnknownSync(Schema.fromJsonString(Traces))
const decodeLogs = Schema.decodeUnknownSync(Schema.fromJsonString(Logs))

/** A span as it was sent, and the replica that sent it. */
export interface ReceivedSpan extends Omit<typeof SpanJson.Type, "attributes"> {
  readonly replica: unknown
  readonly attributes: Readonly<Record<string, unknown>>
  readonly millis: number
}

const valuesOf = (attributes: typeof Attributes.Type): Readonly<Record<string, unknown>> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

/** Listens until the scope closes. */
export const make = Effect.gen(function* () {
  const bodies = new Map<string, Array<string>>()
  const url = yield* listen((path, body) => bodies.set(path, [...(bodies.get(path) ?? []), body]))
  return {
    url,
    bodies,
    spans: (): ReadonlyArray<ReceivedSpan> =>
      (bodies.get("/v1/traces") ?? []).flatMap((body) =>
        decodeTraces(body).resourceSpans.flatMap(({ resource, scopeSpans }) =>
          scopeSpans
            .flatMap(({ spans }) => spans)
            .map((span) => ({
              ...span,
              replica: valuesOf(resource.attributes)["service.instance.id"],
              attributes: valuesOf(span.attributes),
              millis: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6
            }))
        )
      ),
    lines: () =>
      (bodies.get("/v1/logs") ?? []).flatMap((body) =>
        decodeLogs(body).resourceLogs.flatMap(({ resource, scopeLogs }) =>
          scopeLogs
            .flatMap(({ logRecords }) => logRecords)
            .map((record) => ({
              ...record,
              replica: valuesOf(resource.attributes)["service.instance.id"],
              attributes: valuesOf(record.attributes)
            }))
        )
      )
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const listen = (take: (path: string, body: string) => void) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
        const server = createServer((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            take(request.url ?? "", Buffer.concat(chunks).toString("utf8"))
            response.writeHead(200, { "content-type": "application/json" }).end("{}")
          })
        })
        server.listen({ host: "127.0.0.1", port: 0 }, () => {
          const { port } = server.address() as AddressInfo
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, close: () => server.close() }))
        })
      }),
      ({ close }) => Effect.sync(close)
    ),
    ({ url }) => url
  )
