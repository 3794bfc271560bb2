/**
 * Sends metrics, logs and traces to an OpenTelemetry collector, by Effect's exporter, as JSON over HTTP.
 */
import { ReplicaSet } from "@quorum/core"
import { type Duration, Effect, Layer } from "effect"
import type { HttpClient } from "effect/http"
import { Otlp, type OtlpExporter, type OtlpMetrics, OtlpSerialization, type OtlpTracer } from "effect/observability"
import * as Spans from "./internal/Spans.ts"
import * as TraceSampling from "./TraceSampling.ts"

/** Where to send it. */
export interface Options {
  /** The collector: `http://127.0.0.1:4318`. `/v1/metrics`, `/v1/logs` and `/v1/traces` are added. */
  readonly url: string
  /** Sent with every request: credentials, say. */
  readonly headers?: Readonly<Record<string, string>>
  /** How often metrics are sent; every 10 seconds unless given. */
  readonly every?: Duration.Input
  /** The share of the traces that is sampled and sent, from 0 to 1; all unless given. */
  readonly traceShare?: number
  /** What this program is called; `quorum` unless given. */
  readonly serviceName?: string
}

/**
 * Sends until the scope closes, and then what is left, for up to 3 seconds where the collector does not answer. Provide it
 * to the replica, so that it ends last, with the loggers and the tracer that it adds to:
 * `Replica.layer().pipe(…, Layer.provide(OtlpExport.layer({ url })))`. Which replica it is says the resource:
 * `service.instance.id`, and `quorum.replica_set`. Throws at a `url` that is no `http` or `https` one, to which nothing would
 * ever be sent, at a share that is not from 0 to 1, and at an `every` that is not above zero.
 */
export const layer = ({
  every,
  headers,
  serviceName = "quorum",
  traceShare = 1,
  url
}: Options): Layer.Layer<OtlpExporter.Flusher, never, HttpClient.HttpClient | ReplicaSet.ReplicaSet> => {
  if (!/^https?:\/\/./.test(url) || !URL.canParse(url)) {
    throw new TypeError(`url: ${JSON.stringify(url)} is no http or https url; give that of the collector`)
  }
  Spans.check({ every })
  return Layer.unwrap(
    Effect.map(ReplicaSet.ReplicaSet, ({ cluster, self }) =>
      Otlp.layer({
        baseUrl: url,
        headers,
        resource: { serviceName, attributes: { "service.instance.id": self, "quorum.replica_set": cluster } },
        metricsExportInterval: every
      })
    )
  ).pipe(
    (otlp) => (traceShare === 1 ? otlp : Layer.provideMerge(TraceSampling.layer(traceShare), otlp)),
    Layer.provide(serialization)
  )
}

// ---------------------------------------------------------------------------------------------------------------------

/**
 * Effect keeps the unit in the attributes of a series as well, where a collector would make a label of it; and the span
 * of a request has its path, which for a record names the key.
 */
const serialization = Layer.effect(
  OtlpSerialization.OtlpSerialization,
  Effect.map(OtlpSerialization.OtlpSerialization, (inner) => ({
    ...inner,
    metrics: (data) => inner.metrics(withoutUnits(data)),
    traces: (data) => inner.traces(withoutKeys(data))
  }))
).pipe(Layer.provide(OtlpSerialization.layerJson))

type Metrics = OtlpMetrics.MetricsData["resourceMetrics"][number]["scopeMetrics"][number]["metrics"][number]

const withoutUnits = (data: OtlpMetrics.MetricsData): OtlpMetrics.MetricsData => ({
  resourceMetrics: data.resourceMetrics.map((resource) => ({
    ...resource,
    scopeMetrics: resource.scopeMetrics.map((scope) => ({ ...scope, metrics: scope.metrics.map(withoutUnit) }))
  }))
})

const withoutUnit = (metric: Metrics): Metrics => {
  for (const kind of ["sum", "gauge", "histogram"] as const) {
    for (const point of metric[kind]?.dataPoints ?? []) {
      if (point.attributes !== undefined) point.attributes = point.attributes.filter(({ key }) => key !== "unit")
    }
  }
  return metric
}

const withoutKeys = ({ resourceSpans }: OtlpTracer.TraceData): OtlpTracer.TraceData => {
  for (const { scopeSpans } of resourceSpans) {
    for (const { spans } of scopeSpans) {
      for (const { attributes, events, status } of spans) {
        const path = attributes.find(({ key }) => key === "url.path")?.value
        const route = namingPath.exec(path?.stringValue ?? "")?.[1]
        if (path === undefined || route === undefined) continue
        path.stringValue = `/v1/${route.toLowerCase()}`
        attributes.splice(0, attributes.length, ...attributes.filter(({ key }) => !namesKeys.includes(key)))
        // A failed answer is told with its path again, as it was asked.
        const shortened = (text: string) => text.replace(toldPath, `$1 ${path.stringValue})`)
        if ("message" in status) status.message = shortened(status.message)
        for (const { value } of events.flatMap((event) => event.attributes)) {
          if (typeof value.stringValue === "string") value.stringValue = shortened(value.stringValue)
        }
      }
    }
  }
  return { resourceSpans }
}

/**
 * The routes of the client API at which what follows, in the path or after it, names namespaces and keys. A path that is
 * spelled in another way leads nowhere, and names them all the same.
 */
const namingPath = /^\/+v1(?:\/|%2f)+(records|keys|namespaces|changes)(?![a-z])/i
const namesKeys = ["url.full", "url.query"]
/** As Effect says it: `ResponseError (503 PUT /v1/records/notes/k)`. */
const toldPath = /(\(\d{3} [A-Z-]+) \S*\)/g
