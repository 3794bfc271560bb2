/**
 * A replica on Node that speaks HTTP, in one line: what reaches its peers, what answers them, and what answers clients.
 */
import { createServer } from "node:http"
import { NodeCrypto, NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import type { Replica, ReplicaSet } from "@quorum/core"
import { type PeerTransport, type PeerUrls, PeerSecret, ReplicaServer, ServerLimits } from "@quorum/core/adapter"
import { Effect, Layer, type Redacted } from "effect"
import type { HttpRouter, HttpServer, HttpServerError } from "effect/http"
import * as ClientApiServer from "./api/ClientApiServer.ts"
import * as ClientTokens from "./api/ClientTokens.ts"
import * as HttpPeerServer from "./peer/HttpPeerServer.ts"
import * as HttpPeerTransport from "./peer/HttpPeerTransport.ts"

/** Where a replica listens, and where its peers are. */
export interface Options extends HttpPeerServer.Options {
  /** The port for peers and clients; 0 takes any that is free. */
  readonly port: number
  /** The interface to listen on: that of this machine alone, `127.0.0.1`, unless given. Another needs `secret` or `identify`. */
  readonly host?: string
  /**
   * What all members share and nobody else knows, of 32 bytes or more (`openssl rand -hex 32`): peers prove to each other
   * with it who they are, and what they say. Read it with `Config.redacted`.
   */
  readonly secret?: Redacted.Redacted<string> | undefined
  /** Where each replica answers, by replica id: `http://host:port`, or `https://…`, with a path when a proxy adds one. */
  readonly peers: PeerUrls.PeerUrls
  /**
   * The names by which this replica is called, beside its addresses, `localhost` and those in `peers`: a request for
   * another host is refused, because a web page could make its own name lead here.
   */
  readonly hosts?: ReadonlyArray<string>
  /** What else is served on the port: the client API unless given. */
  readonly routes?: Layer.Layer<never, never, HttpRouter.HttpRouter | Replica.Services>
}

/**
 * Gives a replica its transport, and serves it: `Replica.layer().pipe(HttpNode.serve({ port, peers }))`. The services of
 * the replica stay available to the program. `WsNode` of `@quorum/ws` takes the same options.
 */
export const serve =
  ({ host = "127.0.0.1", hosts, peers, port, routes = ClientApiServer.layer, secret, ...options }: Options) =>
  <E, R>(
    replica: Layer.Layer<Replica.Services, E, R>
  ): Layer.Layer<
    Replica.Services | HttpServer.HttpServer,
    E | PeerUrls.InvalidPeerUrls | PeerSecret.PeersUnproven | HttpServerError.ServeError,
    Exclude<R, PeerTransport.PeerTransport> | ReplicaSet.ReplicaSet
  > =>
    ReplicaServer.serve(Layer.mergeAll(HttpPeerServer.layer(options), routes)).pipe(
      Layer.provideMerge(
        NodeHttpServer.layer(limited, { host, port, gracefulShutdownTimeout: ReplicaServer.closeMillis })
      ),
      Layer.provideMerge(replica),
      Layer.provide(Layer.provide(HttpPeerTransport.layer({ peers }), NodeHttpClient.layerUndici)),
      Layer.provide(Layer.succeed(ReplicaServer.KnownHosts, ReplicaServer.hostsOf(peers, hosts))),
      Layer.provide(Layer.provide(PeerSecret.layer(secret), NodeCrypto.layerMac)),
      Layer.provide(
        Layer.effectDiscard(
          Effect.andThen(
            PeerSecret.checkHost(host, secret !== undefined || options.identify !== undefined),
            routes === ClientApiServer.layer ? ClientTokens.warnWithout : Effect.void
          )
        )
      )
    )

// ---------------------------------------------------------------------------------------------------------------------

const limited = () => ServerLimits.limit(createServer(ServerLimits.timeouts))
