/**
 * One replica as a process: a durable store, the peer protocol over HTTP or WebSocket, and the client API on one port.
 *
 * It is told what it is by one JSON argument, says one JSON line when it takes requests, and stops in order on SIGTERM,
 * on SIGINT, and when its standard input ends, which happens however its parent ends.
 */
import { join } from "node:path"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Replica, ReplicaSet } from "@quorum/core"
import { PeerProtocol } from "@quorum/core/adapter"
import { ClientApiServer } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { Prometheus, ReplicaLog } from "@quorum/metrics"
import { ProcessMetrics } from "@quorum/metrics/node"
import { WsNode } from "@quorum/ws/node"
import { Ports } from "@quorum/server/tools"
import { Console, Effect, Layer, Logger, Schema, Stdio, Stream } from "effect"
import * as Ending from "./Ending.ts"
import { FromArgument, FromReadyLine, type Proof, type ReplicaConfig } from "./ReplicaConfig.ts"
import * as ShiftedClock from "./ShiftedClock.ts"
import * as Stores from "./Stores.ts"

/** Between http and ws one line differs. Clients are answered over HTTP in any case. */
const serve = {
  http: (options: HttpNode.Options) => HttpNode.serve(options),
  ws: (options: HttpNode.Options) => WsNode.serve(options)
}

/** What is answered beside the peers: clients, and whoever watches. */
const routes = (folder: string) =>
  Layer.mergeAll(ClientApiServer.layer, Prometheus.layer(), ProcessMetrics.layer({ folder }), ReplicaLog.layer())

const proving = (proof: Proof) => ("secretFile" in proof ? { secret: { file: proof.secretFile } } : { tls: proof })

/** The replica, composed of the packages' layers. */
const replica = ({ cluster, folder, id, members, policy, port, proof, store = "sqlite", transport }: ReplicaConfig) =>
  Replica.layer({ policy }).pipe(
    serve[transport]({ host: Ports.host, port, peers: members, ...proving(proof), routes: routes(folder) }),
    Layer.provide(Stores.layerOf(store, folder)),
    Layer.provide(ReplicaSet.layer({ cluster, self: id, members: Object.keys(members) }))
  )

const logger = ({ folder, verbose }: ReplicaConfig) =>
  verbose
    ? Layer.succeed(Logger.LogToStderr, true)
    : Logger.layer([Logger.toFile(Logger.formatLogFmt, join(folder, "replica.log"))])

/** Runs until the parent is gone. */
const run = Effect.fnUntraced(function* (config: ReplicaConfig) {
  yield* Layer.build(replica(config))
  yield* Console.log(Schema.encodeSync(FromReadyLine)({ ready: config.id, pid: process.pid }))
  yield* Effect.logInfo(`replica ${config.id} takes requests on port ${config.port}`)
  const stdio = yield* Stdio.Stdio
  yield* Effect.ignore(Stream.runDrain(stdio.stdin))
  yield* Effect.logInfo("the parent process is gone, stopping")
}, Effect.scoped)

Schema.decodeEffect(FromArgument)(process.argv[2] ?? "").pipe(
  Effect.flatMap((config) =>
    run(config).pipe(
      Effect.annotateLogs("replica", config.id),
      Effect.provide(logger(config)),
      ShiftedClock.provide(config.clockShiftMillis ?? 0)
    )
  ),
  Effect.tapError((error) => Console.error(PeerProtocol.explain(error))),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: Ending.teardown })
)
