import { NodeHttpClient, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { QuorumPolicy, RecordIndex, Replica, ReplicaId, ReplicaSet, ReplicaStore } from "@quorum/core"
import { HttpPeerTransport, HttpReplicaServer } from "../../src/index.ts"
import { Layer, Result } from "effect"
import { createServer } from "node:http"
const self = ReplicaId.make("a")
if (process.argv[2] === "raw") {
  createServer((req, res) => { const b: Buffer[] = []; req.on("data", (c) => b.push(c)); req.on("end", () => { res.writeHead(201, { "content-type": "application/json" }); res.end(JSON.stringify({ writeId: "a@9f3c52d0b1e44a07:1", acked: ["a"], w: 1, n: 1 })) }) }).listen(27999)
} else NodeRuntime.runMain(Layer.launch(HttpReplicaServer.layer().pipe(
  Layer.provide(NodeHttpServer.layerServer(() => createServer(), { port: 27999 })),
  Layer.provide(Replica.layer({ policy: Result.getOrThrow(QuorumPolicy.one(1)) })),
  Layer.provide(HttpPeerTransport.layer({ peers: {} })),
  Layer.provide(NodeHttpClient.layerUndici),
  Layer.provide(RecordIndex.layerMemory),
  Layer.provide(ReplicaStore.layerMemory({ cluster: "demo", replica: self })),
  Layer.provide(ReplicaSet.layer({ cluster: "demo", self, members: ["a"] })))))
