/**
 * One replica as a process: a SQLite store, the peer protocol over HTTP or WebSocket, and the client API on one port.
 *
 * It is told what it is by one JSON argument, says one JSON line when it takes requests, and stops in order on SIGTERM,
 * on SIGINT, and when its standard input ends, which happens however its parent ends.
 */
import { createServer } from "node:http"
import { join } from "node:path"
import { NodeHttpClient, NodeHttpServer, NodeRuntime, NodeServices, NodeWS } from "@effect/platform-node"
import { Replica, ReplicaSet } from "@quorum/core"
import { PeerProtocol } from "@quorum/core/adapter"
import { ClientApiServer, HttpPeerServer, HttpPeerTransport, HttpReplicaServer } from "@quorum/http"
import { SqliteStore } from "@quorum/sqlite"
import { WsPeerServer, WsPeerTransport } from "@quorum/ws"
import { Console, Effect, Layer, Logger, Runtime, Schema, Stdio, Stream } from "effect"
import { host } from "./Ports.ts"
import { FromArgument, FromReadyLine, type ReplicaConfig } from "./ReplicaConfig.ts"

/** Between http and ws two layers differ: what answers peers, and what reaches them. */
const transports = {
  http: {
    server: HttpPeerServer.layer(),
    transport: (peers: ReplicaConfig["members"]) =>
      Layer.provide(HttpPeerTransport.layer({ peers }), NodeHttpClient.layerUndici)
  },
  ws: {
    server: WsPeerServer.layer(),
    transport: (members: ReplicaConfig["members"]) => {
      const peers = Object.fromEntries(Object.entries(members).map(([id, url]) => [id, url.replace("http:", "ws:")]))
      return Layer.provide(WsPeerTransport.layer({ peers }), NodeWS.layerWebSocketConstructor)
    }
  }
}

/** The package `ws` takes messages of 100 MiB otherwise. */
const websocket = { maxPayload: PeerProtocol.maxMessageBytes() }

/** The replica, composed of the packages' layers. */
const replica = ({ cluster, folder, id, members, policy, port, transport }: ReplicaConfig) =>
  HttpReplicaServer.serve(Layer.mergeAll(transports[transport].server, ClientApiServer.layer)).pipe(
    Layer.provide(NodeHttpServer.layer(createServer, { host, port, gracefulShutdownTimeout: "3 seconds", websocket })),
    Layer.provide(Replica.layer({ policy })),
    Layer.provide(transports[transport].transport(members)),
    Layer.provide(SqliteStore.layer({ folder, cluster, replica: id })),
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
    run(config).pipe(Effect.annotateLogs("replica", config.id), Effect.provide(logger(config)))
  ),
  Effect.tapError((error) => Console.error(error.message)),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit) => Runtime.defaultTeardown(exit, (code) => process.exit(code))
  })
)
