import { NodeRuntime } from "@effect/platform-node"
import { Replica, ReplicaSet } from "@quorum/core"
import { ClientApiServer } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { Prometheus, ReplicaLog } from "../../src/index.ts"
import { ProcessMetrics } from "../../src/node.ts"
import { SqliteStore } from "@quorum/sqlite"
import { Layer } from "effect"

const folder = process.env["FOLDER"] ?? "data/a"
const port = Number(process.env["PORT"] ?? 8001)
const peers = { a: `http://127.0.0.1:${port}`, b: "http://127.0.0.1:8002", c: "http://127.0.0.1:8003" }

const routes = Layer.mergeAll(
  ClientApiServer.layer,
  Prometheus.layer(), // GET /metrics
  ProcessMetrics.layer({ folder }), // the event loop and the disk
  ReplicaLog.layer() // a line per change of state
)

const replica = Replica.layer().pipe(
  // On one machine, for trying it; otherwise with a secret.
  HttpNode.serve({ peers, port, routes, insecure: true }),
  Layer.provide(SqliteStore.layer({ folder })),
  Layer.provide(ReplicaSet.layer({ cluster: "demo", self: "a", members: Object.keys(peers) }))
)

NodeRuntime.runMain(Layer.launch(replica))
