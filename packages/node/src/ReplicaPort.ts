/**
 * The port of a replica on Node, whatever its peers speak: who may come in, how it is served, and how it ends. For those
 * who write a transport; `HttpNode` of `@quorum/http` and `WsNode` of `@quorum/ws` are made of it.
 */
import { createServer } from "node:http"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Limits, Replica, type ReplicaId, type ReplicaSet } from "@quorum/core"
import {
  Endings,
  type PeerHandler,
  PeerSecret,
  type PeerTransport,
  type PeerUrls,
  ReplicaServer,
  ServerLimits,
  WebPages
} from "@quorum/core/adapter"
import { Effect, Layer, type Option, Predicate, Redacted } from "effect"
import type { HttpRouter, HttpServer, HttpServerError, HttpServerRequest } from "effect/http"
import * as NodeCodes from "./NodeCodes.ts"
import * as PeerTls from "./PeerTls.ts"
import * as Unasked from "./Unasked.ts"

/** Where a replica listens, where its peers are, and how they prove who they are. */
export interface Options {
  /** The port for peers, clients and other routes; 0 takes any that is free. */
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
  /**
   * The identity that a proxy or an application has proved for a request; none when it proves nothing, which is refused, as
   * is a handshake that claims another id. It counts instead of what `tls` has proved. It must not be taken from a header or
   * the body that the caller wrote.
   */
  readonly identify?: Identify
  /** Where each replica answers, by replica id, with a path when a proxy adds one. */
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
  /** What else is served on the port. */
  readonly routes?: Routes
}

/** Who asks: the id that was proved for a request, if any was. */
export type Identify = (request: HttpServerRequest.HttpServerRequest) => Option.Option<ReplicaId.ReplicaId>

/** What is served beside the peers. */
export type Routes = Layer.Layer<never, never, HttpRouter.HttpRouter | Replica.Services>

/** What a transport brings: the way in for peers, and the way to them. */
export interface Transport {
  /** The route that answers peers. */
  readonly server: (options: {
    readonly identify?: Identify
  }) => Layer.Layer<never, never, HttpRouter.HttpRouter | PeerHandler.PeerHandler>
  /** What reaches peers. With TLS, whoever answers a connection has to be the peer that was called: `tls.connect`. */
  readonly client: (
    peers: PeerUrls.PeerUrls,
    tls: PeerTls.Tls | undefined
  ) => Layer.Layer<PeerTransport.PeerTransport, PeerUrls.InvalidPeerUrls, ReplicaSet.ReplicaSet>
  /** What is served beside the peers unless something is given. */
  readonly routes: Routes
}

/** Why a port is not served. */
export type ServingError =
  | PeerUrls.InvalidPeerUrls
  | PeerSecret.PeersUnproven
  | PeerTls.InvalidPeerTls
  | WebPages.InvalidOrigins
  | ReplicaServer.InvalidPort
  | Replica.InvalidOptions
  | HttpServerError.ServeError

/** Gives a replica its transport, and serves it. */
export type Serving = <E, R>(
  replica: Layer.Layer<Replica.Services, E, R>
) => Layer.Layer<
  Replica.Services | HttpServer.HttpServer,
  E | ServingError,
  Exclude<R, PeerTransport.PeerTransport> | ReplicaSet.ReplicaSet
>

/**
 * Gives a replica this transport, and serves it on one port, which listens when all routes are there. The services of the
 * replica stay available to the program.
 */
export const serve =
  (
    transport: Transport,
    {
      host = "127.0.0.1",
      hosts,
      identify,
      insecure = false,
      maxConnections,
      origins = [],
      peers,
      port,
      routes = transport.routes,
      secret,
      tls
    }: Options
  ): Serving =>
  (replica) =>
    Layer.unwrap(
      Effect.map(Effect.all([PeerTls.PeerTls, Limits.Limits]), ([certified, limits]) => {
        const unasked = Unasked.make()
        return ReplicaServer.listen(
          Layer.mergeAll(transport.server(identified(identify, certified)), routes, endedWhenClosing(unasked)),
          server(host, port, limits, (ended) => listener(limits, certified, maxConnections, ended, unasked))
        ).pipe(Layer.provideMerge(replica), Layer.provide(transport.client(peers, certified)))
      })
    ).pipe(
      Layer.provide(Layer.provide(PeerTls.layer(tls), NodeFileSystem.layer)),
      Layer.provide(WebPages.layer(origins)),
      Layer.provide(Layer.succeed(ReplicaServer.KnownHosts, ReplicaServer.hostsOf(peers, hosts))),
      Layer.provide(Layer.provide(secretOf(secret), [NodeCodes.layer, NodeFileSystem.layer])),
      Layer.provide(
        PeerSecret.layerListening({
          host,
          insecure,
          proves: secret !== undefined || tls !== undefined || identify !== undefined
        })
      ),
      Layer.provide(
        Layer.effectDiscard(
          Effect.all([
            ReplicaServer.checkPort(port),
            checkCount(maxConnections),
            checkHosts(hosts),
            PeerTls.checkUrls(tls, peers)
          ])
        )
      )
    )

// ---------------------------------------------------------------------------------------------------------------------

/** Programs without types give what they like, and a secret of theirs may not be shown. */
const secretOf = (secret: PeerSecret.Given | undefined) => {
  if (secret === undefined || Redacted.isRedacted(secret)) return PeerSecret.layer(secret)
  if (Predicate.hasProperty(secret, "file") && typeof secret.file === "string") return PeerSecret.layerFile(secret.file)
  return Layer.effectDiscard(
    Effect.fail(new PeerSecret.PeersUnproven({ detail: "secret: give it as Redacted.make(…), or as { file }" }))
  )
}

const checkCount = (maxConnections: unknown): Effect.Effect<void, Replica.InvalidOptions> =>
  maxConnections === undefined || (Number.isSafeInteger(maxConnections) && (maxConnections as number) > 0)
    ? Effect.void
    : Effect.fail(
        new Replica.InvalidOptions({
          option: "maxConnections",
          detail: `${String(maxConnections)} is not a whole number above zero`
        })
      )

/** What no request can have as its host would do nothing. */
const checkHosts = (hosts: ReadonlyArray<string> = []): Effect.Effect<void, Replica.InvalidOptions> => {
  const other = hosts.find((host) => typeof host !== "string" || !ReplicaServer.isHost(host))
  if (other === undefined) return Effect.void
  const detail = `no request names ${JSON.stringify(other)} as its host; give a name alone, as app.example`
  return Effect.fail(new Replica.InvalidOptions({ option: "hosts", detail }))
}

/** What an application identifies itself counts; unless it does, what TLS has proved. */
const identified = (identify: Identify | undefined, tls: PeerTls.Tls | undefined): { readonly identify?: Identify } => {
  if (identify !== undefined) return { identify }
  return tls === undefined ? {} : { identify: ({ source }) => tls.identify(source) }
}

/** Who has asked nothing by the time that the server stops is told nothing. */
const endedWhenClosing = (unasked: Unasked.Unasked): Layer.Layer<never> =>
  Layer.effectDiscard(
    Effect.flatMap(ReplicaServer.Closing, (closing) =>
      Effect.forkScoped(Effect.andThen(closing, Effect.sync(unasked.end)))
    )
  )

const server = (
  host: string,
  port: number,
  limits: Limits.Limits,
  listen: (ended: Endings.Endings) => ReturnType<typeof listener>
) =>
  Layer.unwrap(
    Effect.map(Endings.make, (ended) =>
      NodeHttpServer.layer(() => listen(ended), {
        host,
        port,
        gracefulShutdownTimeout: ReplicaServer.closeMillis,
        websocket: ServerLimits.messagesOf(limits)
      })
    )
  )

const listener = (
  limits: Limits.Limits,
  tls: PeerTls.Tls | undefined,
  maxConnections: number | undefined,
  ended: Endings.Endings,
  unasked: Unasked.Unasked
) => {
  const server = ServerLimits.limit(
    tls === undefined ? createServer(ServerLimits.timeouts) : tls.createServer(ServerLimits.timeouts),
    ServerLimits.bodiesOf(limits),
    maxConnections,
    ended
  )
  unasked.watch(server)
  // Of a request that waits to be told to go on (`Expect: 100-continue`) Node tells by another event. It costs as much.
  const bounds = server.listeners("request")
  server.prependListener("checkContinue", (...event) => {
    for (const bound of bounds) Reflect.apply(bound, server, event)
  })
  return server
}
