/**
 * A replica's HTTP server, composed: what peers need, what clients need, or both on one port.
 *
 * Each layer needs an `HttpServer`, which a platform provides, and the services of `Replica.layer`.
 */
import type { QuorumWriter, Records, ReplicaStatus } from "@quorum/core"
import type { PeerHandler } from "@quorum/core/adapter"
import { Deferred, Effect, Layer } from "effect"
import { HttpMiddleware, HttpRouter, type HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as ClientApiServer from "./api/ClientApiServer.ts"
import * as HttpPeerServer from "./peer/HttpPeerServer.ts"
import * as PeerMessage from "./peer/PeerMessage.ts"

/** The services of a replica that clients are answered from. */
type ClientServices = QuorumWriter.QuorumWriter | Records.Records | ReplicaStatus.ReplicaStatus

/**
 * Characters of a namespace or a key in a path. More than keys may have by any limits, so that too long a key is
 * answered by core and not by the router; the server's limit of a request's head (16 KiB in Node) comes first.
 */
const maxParamLength = 65_536

/**
 * Serves routes: {@link ClientApiServer.layer}, {@link HttpPeerServer.layer}, or those of another transport that shares
 * the port. Without a line in the log and a span for each request: a write would pay for both.
 *
 * A server that stops listening goes on answering on the connections that are busy, and peers keep theirs busy. So from
 * the moment its scope closes every answer ends its connection, and what was upgraded to another protocol is ended at
 * once; otherwise stopping takes until the server gives up waiting (20 seconds on Node).
 */
export const serve = <A, E, R>(routes: Layer.Layer<A, E, R>) =>
  Layer.suspend(() => {
    const closing = Deferred.makeUnsafe<void>()
    const ended = Effect.as(Deferred.await(closing), HttpServerResponse.empty())
    const goodbye = HttpRouter.use((router) =>
      router.addGlobalMiddleware((answer) =>
        Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          headers["upgrade"] === undefined
            ? Effect.map(answer, (response) =>
                Deferred.isDoneUnsafe(closing)
                  ? HttpServerResponse.setHeader(response, "connection", "close")
                  : response
              )
            : Effect.raceFirst(answer, ended)
        )
      )
    )
    const server = HttpRouter.serve(Layer.provideMerge(routes, goodbye), {
      disableLogger: true,
      routerConfig: { maxParamLength, caseSensitive: true, ignoreTrailingSlash: false, ignoreDuplicateSlashes: false }
    }).pipe(Layer.provide(HttpMiddleware.layerTracerDisabledForUrls([PeerMessage.path, "/healthz"])))
    // Built after the server, so it is closed before it.
    const bell = Layer.effectDiscard(Effect.addFinalizer(() => Deferred.succeed(closing, undefined)))
    return Layer.provideMerge(bell, server)
    // Several replicas in one program must not share handlers, as layers that are used twice would.
  }).pipe(Layer.fresh)

/** Routes for peers and for clients on one port. */
export const layer = (
  options?: HttpPeerServer.Options
): Layer.Layer<never, never, HttpServer.HttpServer | PeerHandler.PeerHandler | ClientServices> =>
  serve(Layer.mergeAll(HttpPeerServer.layer(options), ClientApiServer.layer))

/** Routes for peers only, for a port that clients do not reach. */
export const layerPeers = (
  options?: HttpPeerServer.Options
): Layer.Layer<never, never, HttpServer.HttpServer | PeerHandler.PeerHandler> => serve(HttpPeerServer.layer(options))

/** Routes for clients only. */
export const layerClients: Layer.Layer<never, never, HttpServer.HttpServer | ClientServices> = serve(
  ClientApiServer.layer
)
