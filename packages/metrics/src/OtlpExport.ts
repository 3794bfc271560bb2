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
 * Sends until the scope closes. Provide it to the replica, so that it ends last, with the loggers and the tracer that it
 * adds to: `Replica.layer().pipe(…, Layer.provide(OtlpExport.layer({ url })))`. Which replica it is says the resource:
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
      for (const { attributes } of spans) {
        const path = attributes.find(({ key }) => key === "url.path")?.value
        if (path?.stringValue?.startsWith(recordsPath) !== true) continue
        path.stringValue = recordsPath
        attributes.splice(0, attributes.length, ...attributes.filter(({ key }) => !namesKeys.includes(key)))
      }
    }
  }
  return { resourceSpans }
}

/** Where the client API has the records: what follows, in the path or after it, names namespaces and keys. */
const recordsPath = "/v1/records"
const namesKeys = ["url.full", "url.query"]
