/**
 * One replica as a process, composed as the demo composes it: a SQLite store, the peer protocol over HTTP or WebSocket,
 * and the client API on one port. Whichever is asked to runs the closed loop in itself, on its own writer.
 */
import { NodeRuntime } from "@effect/platform-node"
import { type QuorumPolicy, Replica, ReplicaSet } from "@quorum/core"
import { RecordIndex } from "@quorum/core/adapter"
import { ClientApiServer } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { SqliteReplicaStore, SqliteStore } from "@quorum/sqlite"
import { WsNode } from "@quorum/ws/node"
import { Effect, Layer, Logger, References } from "effect"
import * as CommitLoop from "./CommitLoop.ts"
import * as Lines from "./Lines.ts"
import * as MetricsSwitch from "./MetricsSwitch.ts"

/** What a replica process is told. */
export interface Config {
  readonly id: string
  readonly folder: string
  readonly transport: "http" | "ws"
  /** How many replicas must hold a write. */
  readonly w: number
  /** Which of two writes of a key is the later. */
  readonly order: QuorumPolicy.Order
  /** Where the record index is; only the store is durable in any case. */
  readonly index: "sqlite" | "memory"
  /** The port of every member by id. */
  readonly ports: Readonly<Record<string, number>>
}

const { folder, id, index, order, ports, transport, w }: Config = JSON.parse(process.argv[2]!)
const host = "127.0.0.1"
const peers = Object.fromEntries(Object.entries(ports).map(([peer, port]) => [peer, `http://${host}:${port}`] as const))

const serve = {
  http: (options: HttpNode.Options) => HttpNode.serve(options),
  ws: (options: HttpNode.Options) => WsNode.serve(options)
}

const routes = Layer.merge(ClientApiServer.layer, MetricsSwitch.layer(folder))

const store =
  index === "sqlite"
    ? SqliteStore.layer({ folder })
    : Layer.merge(SqliteReplicaStore.layer({ folder }), RecordIndex.layerMemory)

const replica = Replica.layer({ policy: CommitLoop.policy(Object.keys(ports).length, w, order) }).pipe(
  serve[transport]({ host, port: ports[id]!, peers, routes }),
  Layer.provideMerge(store),
  Layer.provide(ReplicaSet.layer({ cluster: "bench", self: id, members: Object.keys(ports) }))
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
