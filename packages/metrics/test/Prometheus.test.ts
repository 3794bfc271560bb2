import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Entry, QuorumWriter, Replica, ReplicaSet } from "@quorum/core"
import { ClientApiServer } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { SqliteStore } from "@quorum/sqlite"
import { Context, Effect, Layer, Logger, Metric } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import * as Definitions from "../src/Definitions.ts"
import { Prometheus } from "../src/index.ts"
import { ProcessMetrics } from "../src/node.ts"
import { isInstalled, run } from "./support/program.ts"
import { valueIn } from "./support/replicas.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-metrics-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const scrape = (url: string) =>
  Effect.promise(async () => {
    const response = await fetch(url)
    return { type: response.headers.get("content-type"), status: response.status, text: await response.text() }
  })

/** One replica of its own set, on a real port with a real store. */
const alone = Effect.gen(function* () {
  const path = yield* folder
  const routes = Layer.mergeAll(ClientApiServer.layer, Prometheus.layer(), ProcessMetrics.layer({ folder: path }))
  const context = yield* Replica.layer().pipe(
    HttpNode.serve({ port: 0, peers: {}, routes }),
    Layer.provide(SqliteStore.layer({ folder: path })),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
    Layer.provide([Layer.succeed(Metric.MetricRegistry, new Map()), Logger.layer([])]),
    Layer.build
  )
  const { address } = Context.get(context, HttpServer.HttpServer)

  const port = address._tag === "InetAddressV4" ? address.port : 0
  return { writer: Context.get(context, QuorumWriter.QuorumWriter), url: `http://127.0.0.1:${port}` }
})

describe("Prometheus", () => {
  it.live("a replica's port answers at /metrics beside the client API", () =>
    Effect.gen(function* () {
      const { url, writer } = yield* alone
      for (let i = 0; i < 3; i++) yield* writer.commit(Entry.put("notes", `k${i}`, "v"))
      const { status, text, type } = yield* scrape(`${url}/metrics`)
      assert.strictEqual(status, 200)
      assert.strictEqual(type, "text/plain; version=0.0.4; charset=utf-8")
      assert.strictEqual(valueIn(text, "quorum_commits_total", { quorum_outcome: "committed" }), 3)
      assert.strictEqual(valueIn(text, "quorum_append_duration_seconds_count", { quorum_log: "own" }), 3)
      const own = { quorum_log: "own" }
      assert.strictEqual(valueIn(text, "quorum_append_sync_duration_seconds_count", own), 3)
      const sync = valueIn(text, "quorum_append_sync_duration_seconds_sum", own)!
      assert.isAbove(sync, 0)
      assert.isBelow(sync, valueIn(text, "quorum_append_duration_seconds_sum", own)!)
      assert.isAbove(valueIn(text, "quorum_store_size_bytes", {})!, 0)
      assert.isAbove(valueIn(text, "quorum_disk_free_bytes", {})!, 0)
      assert.isAbove(valueIn(text, "quorum_disk_size_bytes", {})!, valueIn(text, "quorum_disk_free_bytes", {})!)
      assert.strictEqual((yield* scrape(`${url}/healthz`)).status, 200)
    })
  )

  it.live("an event loop that was blocked shows", () =>
    Effect.gen(function* () {
      const { url } = yield* alone
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
      const until = performance.now() + 300
      while (performance.now() < until);
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
      const { text } = yield* scrape(`${url}/metrics`)
      assert.isAtLeast(valueIn(text, "nodejs_eventloop_delay_max_seconds", {})!, 0.25)
      assert.isAtLeast(valueIn(text, "nodejs_eventloop_delay_p99_seconds", {})!, 0.25)
    })
  )

  it.live("help and type are said of every metric, and the application's own keep their names", () =>
    Effect.gen(function* () {
      const registry = Layer.succeed(Metric.MetricRegistry, new Map())
      const own = Layer.effectDiscard(Metric.update(Metric.counter("shop_orders_total", { description: "Orders" }), 2))
      const context = yield* HttpRouter.serve(Layer.merge(Prometheus.route({ path: "/own" }), own), {
        disableLogger: true
      }).pipe(
        Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
        Layer.provide(registry),
        Layer.build
      )
      const { address } = Context.get(context, HttpServer.HttpServer)
      const port = address._tag === "InetAddressV4" ? address.port : 0
      const { text } = yield* scrape(`http://127.0.0.1:${port}/own`)
      assert.strictEqual(
        text,
        "# HELP shop_orders_total Orders\n# TYPE shop_orders_total counter\nshop_orders_total 2\n"
      )
    })
  )

  it("a counter ends in _total, and seconds and bytes are in the name", () => {
    const names = (["commitDuration", "commits", "catchUpSize", "peerLagTime", "acks", "clockSkew"] as const).map(
      Definitions.prometheus
    )
    assert.deepStrictEqual(names, [
      "quorum_commit_duration_seconds",
      "quorum_commits_total",
      "quorum_catch_up_size_bytes_total",
      "quorum_peer_lag_time_seconds",
      "replication_quorum_ack_total",
      "replication_clock_skew_seconds"
    ])
  })

  describe.skipIf(!isInstalled("promtool"))(
    "by promtool (skipped where Debian's `prometheus` is not installed)",
    () => {
      it.live("what the endpoint answers is sound", () =>
        Effect.gen(function* () {
          const { url, writer } = yield* alone
          yield* writer.commit(Entry.put("notes", "k", "v"))
          const { text } = yield* scrape(`${url}/metrics`)
          const { said, status } = run("promtool", ["check", "metrics"], text)
          assert.strictEqual(said.trim(), "")
          assert.strictEqual(status, 0)
        })
      )
    }
  )
})
