import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler
} from "@opentelemetry/sdk-trace-base"
import { type MetricReader } from "@opentelemetry/sdk-metrics"
import { Replica, ReplicaSet } from "@quorum/core"
import { ReplicaMetrics } from "../../src/index.ts"
import { Effect, Layer } from "effect"

/** A replica whose spans and metrics go where an OpenTelemetry SDK sends those of the rest of the program. */
export const replica = (spans: SpanExporter, metricReader: MetricReader) =>
  ReplicaMetrics.layer.pipe(
    Layer.provideMerge(Replica.layer()),
    Layer.provide(
      NodeSdk.layer(
        Effect.map(ReplicaSet.ReplicaSet, ({ self }) => ({
          resource: { serviceName: "quorum", attributes: { "service.instance.id": self } },
          spanProcessor: new BatchSpanProcessor(spans),
          tracerConfig: { sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(0.01) }) },
          metricReader
        }))
      )
    )
  )
