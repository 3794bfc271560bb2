import { createServer } from "node:http"
import { NodeHttpServer, NodeWS } from "@effect/platform-node"
import { QuorumPolicy, Replica, ReplicaId, ReplicaSet } from "@quorum/core"
import { PeerProtocol } from "@quorum/core/adapter"
import { SqliteStore } from "@quorum/sqlite"
import { WsPeerServer, WsPeerTransport } from "../../src/index.ts"
import { Layer, Result } from "effect"

/** The package `ws` takes messages of 100 MiB otherwise. */
const websocket = { maxPayload: PeerProtocol.maxMessageBytes() }

/** One of three replicas: the same program runs on each machine, with its own `self`. */
export const replica = (self: "a" | "b" | "c", peers: Record<"a" | "b" | "c", string>, folder: string) =>
  WsPeerServer.serve().pipe(
    Layer.provideMerge(Replica.layer({ policy: Result.getOrThrow(QuorumPolicy.majority(3)) })),
    Layer.provide(NodeHttpServer.layer(createServer, { port: Number(new URL(peers[self]).port), websocket })),
    Layer.provide(WsPeerTransport.layer({ peers })),
    Layer.provide(SqliteStore.layer({ folder, cluster: "notes", replica: ReplicaId.make(self) })),
    Layer.provide(ReplicaSet.layer({ cluster: "notes", self, members: Object.keys(peers) })),
    Layer.provide(NodeWS.layerWebSocketConstructor)
  )
