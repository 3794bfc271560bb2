/**
 * A replica on Node that speaks WebSocket with its peers, in one line: what reaches them, and what answers them.
 */
import { createServer } from "node:http"
import { NodeCrypto, NodeHttpServer, NodeWS } from "@effect/platform-node"
import { Limits, type Replica, type ReplicaSet } from "@quorum/core"
import {
  PeerProtocol,
  type PeerTransport,
  type PeerUrls,
  PeerSecret,
  ReplicaServer,
  ServerLimits
} from "@quorum/core/adapter"
import { Effect, Layer, type Redacted } from "effect"
import type { HttpRouter, HttpServer, HttpServerError } from "effect/http"
import * as WsPeerServer from "./WsPeerServer.ts"
import * as WsPeerTransport from "./WsPeerTransport.ts"

/** Where a replica listens, and where its peers are. */
export interface Options extends WsPeerServer.Options {
  /** The port for peers, and for other routes; 0 takes any that is free. */
  readonly port: number
  /** The interface to listen on: that of this machine alone, `127.0.0.1`, unless given. Another needs `secret` or `identify`. */
  readonly host?: string
  /**
   * What all members share and nobody else knows, of 32 bytes or more (`openssl rand -hex 32`): peers prove to each other
   * with it who they are, and what they say. Read it with `Config.redacted`.
   */
  readonly secret?: Redacted.Redacted<string> | undefined
  /** Where each replica answers, by replica id: `ws://host:port`, or `wss://…`; `http` and `https` name the same. */
  readonly peers: PeerUrls.PeerUrls
  /**
   * The names by which this replica is called, beside its addresses, `localhost` and those in `peers`: a request for
   * another host is refused, because a web page could make its own name lead here.
   */
  readonly hosts?: ReadonlyArray<string>
  /** What else is served on the port: nothing unless given. `ClientApiServer.layer` of `@quorum/http` is for clients. */
  readonly routes?: Layer.Layer<never, never, HttpRouter.HttpRouter | Replica.Services>
}

/**
 * Gives a replica its transport, and serves it: `Replica.layer().pipe(WsNode.serve({ port, peers }))`. The services of
 * the replica stay available to the program. `HttpNode` of `@quorum/http` takes the same options.
 */
export const serve =
  ({ host = "127.0.0.1", hosts, peers, port, routes = Layer.empty, secret, ...options }: Options) =>
  <E, R>(
    replica: Layer.Layer<Replica.Services, E, R>
  ): Layer.Layer<
    Replica.Services | HttpServer.HttpServer,
    E | PeerUrls.InvalidPeerUrls | PeerSecret.PeersUnproven | HttpServerError.ServeError,
    Exclude<R, PeerTransport.PeerTransport> | ReplicaSet.ReplicaSet
  > =>
    WsPeerServer.serve(options, routes).pipe(
      Layer.provideMerge(Layer.unwrap(Effect.map(Limits.Limits, (limits) => server(host, port, limits)))),
      Layer.provideMerge(replica),
      Layer.provide(Layer.provide(WsPeerTransport.layer({ peers }), NodeWS.layerWebSocketConstructor)),
      Layer.provide(Layer.succeed(ReplicaServer.KnownHosts, ReplicaServer.hostsOf(peers, hosts))),
      Layer.provide(Layer.provide(PeerSecret.layer(secret), NodeCrypto.layerMac)),
      Layer.provide(
        Layer.effectDiscard(PeerSecret.checkHost(host, secret !== undefined || options.identify !== undefined))
      )
    )

// ---------------------------------------------------------------------------------------------------------------------

/** The package `ws` takes messages of 100 MiB unless it is told how large they may be. */
const server = (host: string, port: number, limits: Limits.Limits) =>
  NodeHttpServer.layer(() => ServerLimits.limit(createServer(ServerLimits.timeouts)), {
    host,
    port,
    gracefulShutdownTimeout: ReplicaServer.closeMillis,
    websocket: { maxPayload: PeerProtocol.maxMessageBytes(limits) }
  })
