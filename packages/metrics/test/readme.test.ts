/** The examples of the README: as a program, and in a program that has the rest. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base"
import { Entry, QuorumWriter, ReplicaSet } from "@quorum/core"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Exit, Layer, Logger, Metric, Schedule, Scope } from "effect"
import * as Otlp from "./readme/otlp.ts"
import * as Sdk from "./readme/sdk.ts"
import * as Collector from "./support/collector.ts"
import { freePort } from "./support/served.ts"

const program = fileURLToPath(new URL("./readme/replica.ts", import.meta.url))

/** Runs the replica of the README as a process, until the scope closes. */
const run = Effect.fnUntraced(function* (port: number) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-metrics-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--disable-warning=ExperimentalWarning", program], {
        env: { ...process.env, FOLDER: folder, PORT: String(port) },
        stdio: "ignore"
      })
    ),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const gone = once(child, "exit")
        child.kill("SIGKILL")
        await gone
      })
  )
})

/** What everything of a replica needs that an example leaves to the program. */
const rest = Layer.mergeAll(ReplicaStore.layerMemory, RecordIndex.layerMemory, MemoryNetwork.layerAlone).pipe(
  Layer.provideMerge(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
  Layer.merge(Layer.mergeAll(Logger.layer([]), Layer.succeed(Metric.MetricRegistry, new Map())))
)

describe("README", () => {
  it.live("the replica with metrics serves what Prometheus reads, of the replica and of its process", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      yield* run(port)
      const text = yield* Effect.tryPromise(async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).pipe(
        Effect.retry(Schedule.spaced(20)),
        Effect.timeout(60_000)
      )
      assert.match(text, /^quorum_peer_up\{.*peer="b".*\} 0$/m)
      assert.match(text, /^quorum_disk_free_bytes(\{.*\})? \d+$/m)
    })
  )

  it.live("the replica with a collector sends it its metrics", () =>
    Effect.gen(function* () {
      const { bodies, url } = yield* Collector.make
      // It sends the last of them when it ends.
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.provide(Otlp.replica(url), rest), scope)
      yield* Context.get(context, QuorumWriter.QuorumWriter).commit(Entry.put("n", "k", "v"))
      yield* Scope.close(scope, Exit.void)
      assert.include(bodies.get("/v1/metrics")?.join(), '"quorum.commits"')
    })
  )

  it.live("the replica with an SDK gives its metrics to the SDK's reader", () =>
    Effect.gen(function* () {
      const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
      const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 100_000 })
      const context = yield* Layer.build(Layer.provide(Sdk.replica(new InMemorySpanExporter(), reader), rest))
      yield* Context.get(context, QuorumWriter.QuorumWriter).commit(Entry.put("n", "k", "v"))
      yield* Effect.promise(() => reader.forceFlush())
      const [batch] = exporter.getMetrics()
      assert.strictEqual(batch?.resource.attributes["service.instance.id"], "a")
      assert.include(JSON.stringify(batch), '"quorum.commits"')
    })
  )
})
