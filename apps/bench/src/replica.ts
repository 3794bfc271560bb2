/**
 * One replica as a process, composed as the demo composes it: a SQLite store, the peer protocol over HTTP or WebSocket,
 * and the client API on one port. Whichever is asked to runs the closed loop in itself, on its own writer.
 */
import { createServer } from "node:http"
import { NodeHttpClient, NodeHttpServer, NodeRuntime, NodeWS } from "@effect/platform-node"
import { Replica, ReplicaId, ReplicaSet } from "@quorum/core"
import { RecordIndex } from "@quorum/core/adapter"
import { ClientApiServer, HttpPeerServer, HttpPeerTransport, HttpReplicaServer } from "@quorum/http"
import { SqliteReplicaStore, SqliteStore } from "@quorum/sqlite"
import { WsPeerServer, WsPeerTransport } from "@quorum/ws"
import { Effect, Layer, Logger, References } from "effect"
import * as CommitLoop from "./CommitLoop.ts"
import * as Lines from "./Lines.ts"

/** What a replica process is told. */
export interface Config {
  readonly id: string
  readonly folder: string
  readonly transport: "http" | "ws"
  /** How many replicas must hold a write. */
  readonly w: number
  /** Where the record index is; only the store is durable in any case. */
  readonly index: "sqlite" | "memory"
  /** The port of every member by id. */
  readonly ports: Readonly<Record<string, number>>
}

const { folder, id, index, ports, transport, w }: Config = JSON.parse(process.argv[2]!)
const host = "127.0.0.1"
const self = ReplicaId.make(id)
const cluster = "bench"
const peers = Object.fromEntries(
  Object.entries(ports).map(([peer, port]) => [peer, `${transport}://${host}:${port}`] as const)
)

const transports = {
  http: {
    server: HttpPeerServer.layer(),
    transport: Layer.provide(HttpPeerTransport.layer({ peers }), NodeHttpClient.layerUndici)
  },
  ws: {
    server: WsPeerServer.layer(),
    transport: Layer.provide(WsPeerTransport.layer({ peers }), NodeWS.layerWebSocketConstructor)
  }
}

const identity = { folder, cluster, replica: self }
const store =
  index === "sqlite"
    ? SqliteStore.layer(identity)
    : Layer.merge(SqliteReplicaStore.layer(identity), RecordIndex.layerMemory)

const replica = HttpReplicaServer.serve(Layer.mergeAll(transports[transport].server, ClientApiServer.layer)).pipe(
  Layer.provide(NodeHttpServer.layer(createServer, { host, port: ports[id]! })),
  Layer.provideMerge(Replica.layer({ policy: CommitLoop.policy(Object.keys(ports).length, w) })),
  Layer.provide(transports[transport].transport),
  Layer.provideMerge(store),
  Layer.provide(ReplicaSet.layer({ cluster, self, members: Object.keys(ports) }))
)

Effect.gen(function* () {
  const services = yield* Layer.build(replica)
  const { measure, status } = yield* Effect.provide(CommitLoop.make, services)
  Lines.serve(measure, status)
  return yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.provideService(Logger.LogToStderr, true),
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  NodeRuntime.runMain
)
