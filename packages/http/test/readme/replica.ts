import { NodeRuntime } from "@effect/platform-node"
import { Replica, ReplicaSet } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { HttpNode } from "../../src/node.ts"
import { Layer } from "effect"

const self = process.env["SELF"] ?? "a"
const urls = process.env["PEERS"] ?? "a=http://127.0.0.1:8001 b=http://127.0.0.1:8002 c=http://127.0.0.1:8003"
const peers: Record<string, string> = Object.fromEntries(urls.split(" ").map((peer) => peer.split("=")))
const port = Number(new URL(peers[self]!).port)

const replica = Replica.layer().pipe(
  // For trying it on one machine: without a secret, and in memory. @quorum/sqlite has durable stores.
  HttpNode.serve({ peers, port, insecure: true }),
  Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
  Layer.provide(ReplicaSet.layer({ cluster: "demo", self, members: Object.keys(peers) }))
)

NodeRuntime.runMain(Layer.launch(replica))
