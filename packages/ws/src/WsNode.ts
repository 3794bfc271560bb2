/**
 * A replica on Node that speaks WebSocket with its peers, in one line: what reaches them, and what answers them.
 */
import { createServer } from "node:http"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeWS from "@effect/platform-node/NodeWS"
import { Limits, type Replica, type ReplicaId, type ReplicaSet } from "@quorum/core"
import {
  Endings,
  PeerProtocol,
  type PeerTransport,
  type PeerUrls,
  PeerSecret,
  ReplicaServer,
  ServerLimits,
  WebPages
} from "@quorum/core/adapter"
import { NodeCodes, PeerTls } from "@quorum/tls"
import { Effect, Layer, Redacted } from "effect"
import type { HttpRouter, HttpServer, HttpServerError } from "effect/http"
import * as Masking from "./internal/Masking.ts"
import * as WsPeerServer from "./WsPeerServer.ts"
import * as WsPeerTransport from "./WsPeerTransport.ts"

/** Where a replica listens, and where its peers are. */
export interface Options extends WsPeerServer.Options {
  /** The port for peers, and for other routes; 0 takes any that is free. */
  readonly port: number
  /** The interface to listen on: that of this machine alone, `127.0.0.1`, unless given. Another needs `secret`, `tls` or `identify`. */
  readonly host?: string
  /**
   * What all members share and nobody else knows, of 32 bytes or more (`openssl rand -hex 32`): peers prove to each other
   * with it who they are, and what they say. Read it with `Config.redacted`, or name the file that holds it, `{ file }`:
   * that is read again, so that a secret can be exchanged without a restart.
   */
  readonly secret?: PeerSecret.Given | undefined
  /**
   * The files by which peers prove with certificates who they are, in both directions; see `PeerTls`. The port takes TLS
   * only then, also from clients, who need no certificate; where `ClientTokens` has theirs, they are known by it. It may be used together with `secret`.
   */
  readonly tls?: PeerTls.Options | undefined
  /**
   * Has peers prove nothing, where there is no `secret`, `tls` or `identify`: whoever reaches the port can be one then. For
   * trying out; it listens on loopback only. A replica set of one needs none of them.
   */
  readonly insecure?: boolean | undefined
  /** Where each replica answers, by replica id: `ws://host:port`, or `wss://…`; `http` and `https` name the same. */
  readonly peers: PeerUrls.PeerUrls
  /**
   * The names by which this replica is called, beside its addresses, `localhost` and those in `peers`: a request for
   * another host is refused, because a web page could make its own name lead here.
   */
  readonly hosts?: ReadonlyArray<string>
  /**
   * The origins of web pages that may ask, beside those of the replica's own host: `https://app.example`. Requests of other
   * pages are refused.
   */
  readonly origins?: ReadonlyArray<string>
  /** How many connections of clients there may be at once: 2048 unless given. Peers have theirs beside them. */
  readonly maxConnections?: number | undefined
  /** What else is served on the port: nothing unless given. `ClientApiServer.layer` of `@quorum/http` is for clients. */
  readonly routes?: Layer.Layer<never, never, HttpRouter.HttpRouter | Replica.Services>
}

/**
 * Gives a replica its transport, and serves it: `Replica.layer().pipe(WsNode.serve({ port, peers }))`. The services of
 * the replica stay available to the program. `HttpNode` of `@quorum/http` takes the same options.
 */
export const serve =
  ({
    host = "127.0.0.1",
    hosts,
    insecure = false,
    maxConnections,
    origins = [],
    peers,
    port,
    routes = Layer.empty,
    secret,
    tls,
    ...options
  }: Options) =>
  <E, R>(
    replica: Layer.Layer<Replica.Services, E, R>
  ): Layer.Layer<
    Replica.Services | HttpServer.HttpServer,
    | E
    | PeerUrls.InvalidPeerUrls
    | PeerSecret.PeersUnproven
    | PeerTls.InvalidPeerTls
    | WebPages.InvalidOrigins
    | ReplicaServer.InvalidPort
    | HttpServerError.ServeError,
    Exclude<R, PeerTransport.PeerTransport> | ReplicaSet.ReplicaSet
  > =>
    Layer.unwrap(
      Effect.map(Effect.all([PeerTls.PeerTls, Limits.Limits]), ([certified, limits]) =>
        ReplicaServer.listen(
          Layer.mergeAll(WsPeerServer.layer(identified(options, certified)), routes),
          server(host, port, (ended) => listener(limits, certified, maxConnections, ended), limits)
        ).pipe(
          Layer.provideMerge(replica),
          Layer.provide(Layer.provide(transport(peers, certified), NodeWS.layerWebSocketConstructor))
        )
      )
    ).pipe(
      Layer.provide(Layer.provide(PeerTls.layer(tls), NodeFileSystem.layer)),
      Layer.provide(WebPages.layer(origins)),
      Layer.provide(Layer.succeed(ReplicaServer.KnownHosts, ReplicaServer.hostsOf(peers, hosts))),
      Layer.provide(Layer.provide(secretOf(secret), [NodeCodes.layer, NodeFileSystem.layer])),
      Layer.provide(
        PeerSecret.layerListening({
          host,
          insecure,
          proves: secret !== undefined || tls !== undefined || options.identify !== undefined
        })
      ),
      Layer.provide(Layer.effectDiscard(Effect.andThen(ReplicaServer.checkPort(port), PeerTls.checkUrls(tls, peers))))
    )

// ---------------------------------------------------------------------------------------------------------------------

const secretOf = (secret: PeerSecret.Given | undefined) =>
  secret === undefined || Redacted.isRedacted(secret) ? PeerSecret.layer(secret) : PeerSecret.layerFile(secret.file)

/** What an application identifies itself counts; unless it does, what TLS has proved. */
const identified = (options: WsPeerServer.Options, tls: PeerTls.Tls | undefined): WsPeerServer.Options =>
  tls === undefined ? options : { identify: ({ source }) => tls.identify(source), ...options }

/** The package `ws` takes messages of 100 MiB unless it is told how large they may be. */
const server = (
  host: string,
  port: number,
  listen: (ended: Endings.Endings) => ReturnType<typeof listener>,
  limits: Limits.Limits
) =>
  Layer.unwrap(
    Effect.map(Endings.make, (ended) =>
      NodeHttpServer.layer(() => listen(ended), {
        host,
        port,
        gracefulShutdownTimeout: ReplicaServer.closeMillis,
        websocket: { maxPayload: PeerProtocol.maxMessageBytes(limits) }
      })
    )
  )

const listener = (
  limits: Limits.Limits,
  tls: PeerTls.Tls | undefined,
  maxConnections: number | undefined,
  ended: Endings.Endings
) =>
  ServerLimits.limit(
    tls === undefined ? createServer(ServerLimits.timeouts) : tls.createServer(ServerLimits.timeouts),
    ServerLimits.bodiesOf(limits),
    maxConnections,
    ended
  )

/** With TLS, whoever answers a connection has to be the peer that was called. */
const transport = (peers: PeerUrls.PeerUrls, tls: PeerTls.Tls | undefined) =>
  WsPeerTransport.layer({ peers, open: (peer, url) => open(peer, new URL(url), tls) })

const open = (peer: ReplicaId.ReplicaId, url: URL, tls: PeerTls.Tls | undefined) => {
  const options = Masking.optionsOf(url)
  if (tls === undefined) return new NodeWS.WebSocket(url, options)
  const createConnection = () => tls.connect(peer, { host: url.hostname, port: Number(url.port) || 443 })
  return new NodeWS.WebSocket(url, { ...options, createConnection })
}
