// The example of the README, so that it is type-checked; Readme.test.ts compares the two.
import { NodeHttpClient, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { QuorumPolicy, Replica, ReplicaId, ReplicaSet } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { HttpPeerTransport, HttpReplicaServer } from "../src/index.ts"
import { Layer, Result } from "effect"
import { createServer } from "node:http"

const self = ReplicaId.make(process.env["SELF"] ?? "a")
const peers = { a: "http://127.0.0.1:8001", b: "http://127.0.0.1:8002", c: "http://127.0.0.1:8003" }
const port = Number(new URL(peers[self as keyof typeof peers]).port)
const policy = Result.getOrThrow(QuorumPolicy.majority(3))

const server = HttpReplicaServer.layer().pipe(
  Layer.provide(NodeHttpServer.layerServer(() => createServer(), { port })),
  Layer.provide(Replica.layer({ policy })),
  Layer.provide(HttpPeerTransport.layer({ peers })),
  Layer.provide(NodeHttpClient.layerUndici),
  Layer.provide(RecordIndex.layerMemory),
  // In memory, for trying it. @quorum/sqlite has the durable one.
  Layer.provide(ReplicaStore.layerMemory({ cluster: "demo", replica: self })),
  Layer.provide(ReplicaSet.layer({ cluster: "demo", self, members: Object.keys(peers) }))
)

NodeRuntime.runMain(Layer.launch(server))
