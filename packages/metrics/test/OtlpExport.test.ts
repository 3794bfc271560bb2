import { assert, describe, it } from "@effect/vitest"
import { Entry, QuorumWriter, Replica, ReplicaSet } from "@quorum/core"
import { PeerTransport, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Layer, Logger, Metric, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter } from "effect/observability"
import { OtlpExport, ReplicaMetrics } from "../src/index.ts"
import * as Collector from "./support/collector.ts"

const Attributes = Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.Unknown }))
const Point = Schema.Struct({
  attributes: Attributes,
  asDouble: Schema.optional(Schema.Finite),
  count: Schema.optional(Schema.Finite),
  bucketCounts: Schema.optional(Schema.Array(Schema.Finite)),
  explicitBounds: Schema.optional(Schema.Array(Schema.Finite))
})
const Points = Schema.Struct({ dataPoints: Schema.Array(Point), isMonotonic: Schema.optional(Schema.Boolean) })
const Received = Schema.Struct({
  resourceMetrics: Schema.Array(
    Schema.Struct({
      resource: Schema.Struct({ attributes: Attributes }),
      scopeMetrics: Schema.Array(
        Schema.Struct({
          metrics: Schema.Array(
            Schema.Struct({
              name: Schema.String,
              unit: Schema.String,
              description: Schema.String,
              sum: Schema.optional(Points),
              gauge: Schema.optional(Points),
              histogram: Schema.optional(Points)
            })
          )
        })
      )
    })
  )
})
const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Received))

const nobody = Layer.succeed(
  PeerTransport.PeerTransport,
  PeerTransport.PeerTransport.of({ maxInFlight: 1, connect: () => Effect.never })
)

describe("OtlpExport", () => {
  it.live("a collector gets metrics with units, help and the replica's id, logs, and spans of the application", () =>
    Effect.gen(function* () {
      const { bodies, url } = yield* Collector.make
      const context = yield* ReplicaMetrics.layer.pipe(
        Layer.provideMerge(Replica.layer()),
        Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory, nobody]),
        Layer.provideMerge(OtlpExport.layer({ url })),
        Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
        Layer.provide([FetchHttpClient.layer, Logger.layer([])]),
        Layer.provideMerge(Layer.succeed(Metric.MetricRegistry, new Map())),
        Layer.build
      )
      const writer = Context.get(context, QuorumWriter.QuorumWriter)
      yield* writer.commit(Entry.put("notes", "k", "v"))
      yield* Effect.logInfo("something to log").pipe(Effect.withSpan("something to trace"), Effect.provide(context))
      yield* Context.get(context, OtlpExporter.Flusher).flush

      const [body] = bodies.get("/v1/metrics") ?? []
      const [{ resource, scopeMetrics }] = decode(body).resourceMetrics as [
        (typeof Received.Type)["resourceMetrics"][number]
      ]
      assert.deepInclude(resource.attributes, { key: "service.instance.id", value: { stringValue: "a" } })
      assert.deepInclude(resource.attributes, { key: "service.name", value: { stringValue: "quorum" } })
      const metrics = new Map(scopeMetrics.flatMap((scope) => scope.metrics.map((metric) => [metric.name, metric])))
      const commits = metrics.get("quorum.commits")!
      assert.strictEqual(commits.unit, "{write}")
      assert.isTrue(commits.sum!.isMonotonic)
      assert.deepStrictEqual(commits.sum!.dataPoints.find(({ asDouble }) => asDouble === 1)!.attributes, [
        { key: "quorum.outcome", value: { stringValue: "committed" } }
      ])
      const durations = metrics.get("quorum.commit.duration")!
      assert.strictEqual(durations.unit, "s")
      const [duration] = durations.histogram!.dataPoints
      assert.strictEqual(duration!.count, 1)
      assert.strictEqual(duration!.bucketCounts!.length, duration!.explicitBounds!.length + 1)
      assert.strictEqual(metrics.get("quorum.append.size")!.unit, "By")
      assert.isAbove(metrics.get("quorum.append.size")!.description.length, 0)
      assert.include((bodies.get("/v1/logs") ?? []).join(), "something to log")
      assert.include((bodies.get("/v1/traces") ?? []).join(), "something to trace")
    })
  )

  it("throws at an interval at which it would send all the time", () => {
    for (const every of [0, Number.NaN, "-5 seconds", "soon" as never] as const) {
      assert.throws(
        () => OtlpExport.layer({ url: "http://127.0.0.1:4318", every }),
        /^every: .* is not a duration above/
      )
    }
    for (const every of [1, "1 minute", "Infinity"] as const) OtlpExport.layer({ url: "http://127.0.0.1:4318", every })
  })

  it("throws at a url to which nothing could be sent", () => {
    for (const url of ["", "x", "collector:4318", "grpc://127.0.0.1:4317", "http://", "http://a b", undefined]) {
      assert.throws(() => OtlpExport.layer({ url: url as string }), /^url: .* is no http or https url/)
    }
    OtlpExport.layer({ url: "https://collector.example:4318/otlp" })
  })
})
