/**
 * One replica as a process, composed as the demo composes it: a durable store, the peer protocol over HTTP or WebSocket,
 * and the client API on one port. Whichever is asked to runs the closed loop in itself, on its own writer.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { type QuorumPolicy, Replica, ReplicaSet } from "@quorum/core"
import { PeerSecret, RecordIndex } from "@quorum/core/adapter"
import { ClientApiServer } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { LmdbReplicaStore, LmdbStore } from "@quorum/lmdb"
import { SqliteRecordIndex, SqliteReplicaStore, SqliteStore } from "@quorum/sqlite"
import { WsNode } from "@quorum/ws/node"
import { Effect, Layer, Logger, Redacted, References } from "effect"
import * as CommitLoop from "./CommitLoop.ts"
import * as FileLog from "./FileLog.ts"
import * as Lines from "./Lines.ts"
import * as MetricsSwitch from "./MetricsSwitch.ts"
import * as StallingDisk from "./StallingDisk.ts"

/** What a replica process is told. */
export interface Config {
  readonly id: string
  readonly folder: string
  readonly transport: "http" | "ws"
  /** How many replicas must hold a write. */
  readonly w: number
  /** Which of two writes of a key is the later. */
  readonly order: QuorumPolicy.Order
  readonly store: "sqlite" | "lmdb" | "file"
  /** Where the record index is: beside the logs, or in memory. */
  readonly index: "stored" | "memory"
  /** Whether peers prove with a shared secret who they are, and what they say. */
  readonly secret?: boolean | undefined
  /** How much of the time logs are compacted in while writes come in; as core says unless given. */
  readonly compactionShare?: number | undefined
  /** Whether its disk can be asked to stand still. */
  readonly stalls?: boolean | undefined
  /** How the writers of the closed loop wait. */
  readonly waiting?: CommitLoop.Waiting | undefined
  /** The port of every member by id. */
  readonly ports: Readonly<Record<string, number>>
}

const { compactionShare, folder, id, index, order, ports, secret, stalls, store, transport, w, waiting }: Config =
  JSON.parse(process.argv[2]!)
const host = "127.0.0.1"
const peers = Object.fromEntries(Object.entries(ports).map(([peer, port]) => [peer, `http://${host}:${port}`] as const))

const serve = {
  http: (options: HttpNode.Options) => HttpNode.serve(options),
  ws: (options: HttpNode.Options) => WsNode.serve(options)
}

const proof = secret === true ? { secret: Redacted.make("x".repeat(PeerSecret.minBytes)) } : { insecure: true }

const routes = Layer.merge(ClientApiServer.layer, MetricsSwitch.layer(folder))

const stores = {
  file: {
    both: Layer.provideMerge(SqliteRecordIndex.layer({ folder }), FileLog.layer({ folder })),
    logs: FileLog.layer({ folder })
  },
  lmdb: { both: LmdbStore.layer({ folder }), logs: LmdbReplicaStore.layer({ folder }) },
  sqlite: { both: SqliteStore.layer({ folder }), logs: SqliteReplicaStore.layer({ folder }) }
}
const durable = index === "stored" ? stores[store].both : Layer.merge(stores[store].logs, RecordIndex.layerMemory)

const replica = Replica.layer({
  policy: CommitLoop.policy(Object.keys(ports).length, w, order),
  ...(compactionShare === undefined ? {} : { compactionShare })
}).pipe(
  serve[transport]({ ...proof, host, port: ports[id]!, peers, routes }),
  Layer.provideMerge(stalls === true ? Layer.merge(durable, StallingDisk.layer(durable)) : durable),
  Layer.provide(ReplicaSet.layer({ cluster: "bench", self: id, members: Object.keys(ports) }))
)

Effect.gen(function* () {
  const services = yield* Layer.build(replica)
  const { measure, ...asked } = yield* Effect.provide(CommitLoop.make(waiting), services)
  Lines.serve(measure, asked)
  return yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.provideService(Logger.LogToStderr, true),
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  NodeRuntime.runMain
)
