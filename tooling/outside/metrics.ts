// A user of @quorum/metrics: one replica on loopback, a write, and what its metrics say of it.
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Entry, QuorumWriter, Replica, ReplicaSet } from "@quorum/core"
import { HttpNode } from "@quorum/http/node"
import { Prometheus } from "@quorum/metrics"
import { ProcessMetrics } from "@quorum/metrics/node"
import { SqliteStore } from "@quorum/sqlite"
import { Context, Effect, Layer, Logger } from "effect"

const port = 23_421
const folder = mkdtempSync(join(tmpdir(), "quorum-outside-"))

const replica = Replica.layer().pipe(
  HttpNode.serve({ peers: {}, port, routes: Layer.merge(Prometheus.layer(), ProcessMetrics.layer({ folder })) }),
  Layer.provide(SqliteStore.layer({ folder })),
  Layer.provide(ReplicaSet.layer({ cluster: "outside", self: "a", members: ["a"] }))
)

const program = Effect.gen(function* () {
  const a = yield* Layer.build(replica)
  yield* Context.get(a, QuorumWriter.QuorumWriter).commit(Entry.put("notes", "greeting", "hello"))
  const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/metrics`))
  const text = yield* Effect.promise(() => response.text())
  const rules = readFileSync("node_modules/@quorum/metrics/prometheus/alerts.yml", "utf8")
  return `${/^quorum_commits_total.*committed.*$/m.exec(text)?.[0]}, ${rules.match(/alert:/g)?.length} alert rules`
}).pipe(Effect.scoped, Effect.provide(Logger.layer([])))

console.log(await Effect.runPromise(program))
rmSync(folder, { recursive: true })
