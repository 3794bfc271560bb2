/** The SDK of OpenTelemetry that an application owns, through `@effect/opentelemetry`. */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { assert, describe, it } from "@effect/vitest"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  InMemorySpanExporter,
  ParentBasedSampler,
  type Sampler,
  SimpleSpanProcessor
} from "@opentelemetry/sdk-trace-base"
import { Entry, QuorumWriter, Replica, ReplicaSet } from "@quorum/core"
import { PeerTransport, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Fiber, Layer, Logger, Metric } from "effect"
import { ReplicaMetrics } from "../src/index.ts"
import * as Replicas from "./support/replicas.ts"

const { pass } = Replicas

/** Runs three replicas in one SDK, and gives what it exported. */
const exported = Effect.fnUntraced(function* (root: Sampler, requests: number) {
  const spans = new InMemorySpanExporter()
  const sdk = NodeSdk.layer(() => ({
    resource: { serviceName: "quorum" },
    spanProcessor: new SimpleSpanProcessor(spans),
    tracerConfig: { sampler: new ParentBasedSampler({ root }) }
  }))
  return yield* Effect.gen(function* () {
    const set = yield* Replicas.make
    const a = yield* set.start("a")
    yield* set.start("b")
    yield* set.start("c")
    yield* pass(3000)
    const commits = Effect.all(
      Array.from({ length: requests }, (_, i) =>
        Effect.withSpan(a.writer.commit(Entry.put("n", `k${i}`, "v")), `request ${i}`, { root: true })
      ),
      { concurrency: "unbounded" }
    )
    const fiber = yield* Effect.forkChild(commits)
    yield* pass(500)
    yield* Fiber.join(fiber)
    return spans.getFinishedSpans()
  }).pipe(Effect.provide(sdk), Effect.scoped)
})

const nobody = Layer.succeed(
  PeerTransport.PeerTransport,
  PeerTransport.PeerTransport.of({ maxInFlight: 1, connect: () => Effect.never })
)

describe("an OpenTelemetry SDK of one's own", () => {
  it.effect("has one trace of a request, its batch, its pushes and the appends of peers", () =>
    Effect.gen(function* () {
      const spans = yield* exported(new AlwaysOnSampler(), 2)
      const named = (name: string) => spans.filter((span) => span.name === name)
      const [first] = named("request 0")
      const appends = named("quorum.append")
      const [append] = appends.filter(
        ({ parentSpanContext }) => parentSpanContext?.spanId === first!.spanContext().spanId
      )
      const pushes = named("quorum.push")
      assert.lengthOf(pushes, 2)
      for (const { parentSpanContext } of pushes)
        assert.strictEqual(parentSpanContext!.spanId, append!.spanContext().spanId)
      assert.sameMembers(
        appends.flatMap(({ parentSpanContext }) => parentSpanContext!.spanId),
        [first!, ...pushes].map((span) => span.spanContext().spanId)
      )
      for (const span of [append!, ...pushes, ...appends]) {
        assert.strictEqual(span.spanContext().traceId, first!.spanContext().traceId)
      }
      const [second] = named("request 1")
      assert.deepStrictEqual(
        second!.links.map(({ context }) => context.spanId),
        [append!.spanContext().spanId]
      )
      assert.strictEqual(append!.attributes["quorum.entries"], 2)
    })
  )

  it.effect("decides by its sampler, once: what it leaves out has no span on any replica", () =>
    Effect.gen(function* () {
      assert.lengthOf(yield* exported(new AlwaysOffSampler(), 2), 0)
    })
  )

  it.live("has the metrics too", () =>
    Effect.gen(function* () {
      const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
      const metricReader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 100_000 })
      const sdk = NodeSdk.layer(() => ({ resource: { serviceName: "quorum" }, metricReader }))
      const context = yield* ReplicaMetrics.layer.pipe(
        Layer.provideMerge(Replica.layer()),
        Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory, nobody]),
        Layer.provide(sdk),
        Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
        Layer.provide([Logger.layer([]), Layer.succeed(Metric.MetricRegistry, new Map())]),
        Layer.build
      )
      yield* Context.get(context, QuorumWriter.QuorumWriter).commit(Entry.put("n", "k", "v"))
      yield* Effect.promise(() => metricReader.forceFlush())
      const names = exporter
        .getMetrics()
        .flatMap(({ scopeMetrics }) =>
          scopeMetrics.flatMap(({ metrics }) => metrics.map(({ descriptor }) => [descriptor.name, descriptor.unit]))
        )
      assert.deepInclude(names, ["quorum.commits", "{write}"])
      assert.deepInclude(names, ["quorum.commit.duration", "s"])
    })
  )
})
