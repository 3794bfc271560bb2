/**
 * A replica's HTTP server, composed: what peers need, what clients need, or both on one port.
 *
 * Each layer needs an `HttpServer`, which a platform provides, and the services of `Replica.layer`.
 */
import type { PeerHandler, Peers, QuorumWriter, Records, ReplicaLogs } from "@quorum/core"
import { Effect, Layer } from "effect"
import { HttpMiddleware, HttpRouter, type HttpServer, HttpServerResponse } from "effect/http"
import * as ClientApiServer from "./ClientApiServer.ts"
import * as HttpPeerServer from "./HttpPeerServer.ts"
import * as PeerMessage from "./PeerMessage.ts"

/** The services of a replica that clients are answered from. */
type ClientServices = QuorumWriter.QuorumWriter | Records.Records | ReplicaLogs.ReplicaLogs | Peers.Peers

/** Routes for peers and for clients on one port. */
export const layer = (
  options?: HttpPeerServer.Options
): Layer.Layer<never, never, HttpServer.HttpServer | PeerHandler.PeerHandler | ClientServices> =>
  serve(Layer.mergeAll(HttpPeerServer.layer(options), ClientApiServer.layer))

/** Routes for peers only, for a port that clients do not reach. */
export const layerPeers = (
  options?: HttpPeerServer.Options
): Layer.Layer<never, never, HttpServer.HttpServer | PeerHandler.PeerHandler> => serve(HttpPeerServer.layer(options))

// ---------------------------------------------------------------------------------------------------------------------

/**
 * Characters of a namespace or a key in a path. More than keys may have by any limits, so that too long a key is
 * answered by core and not by the router; the server's limit of a request's head (16 KiB in Node) comes first.
 */
const maxParamLength = 65_536

/**
 * Without a line in the log and a span for each request: a write would pay for both.
 *
 * A server that stops listening goes on answering on the connections that are busy, and peers keep theirs busy. So from
 * the moment its scope closes every answer ends its connection; otherwise stopping takes until the server gives up
 * waiting (20 seconds on Node).
 */
const serve = <A, E, R>(routes: Layer.Layer<A, E, R>) =>
  Layer.suspend(() => {
    let closing = false
    const goodbye = HttpRouter.use((router) =>
      router.addGlobalMiddleware((answer) =>
        Effect.map(answer, (response) =>
          closing ? HttpServerResponse.setHeader(response, "connection", "close") : response
        )
      )
    )
    const server = HttpRouter.serve(Layer.provideMerge(routes, goodbye), {
      disableLogger: true,
      routerConfig: { maxParamLength }
    }).pipe(Layer.provide(HttpMiddleware.layerTracerDisabledForUrls([PeerMessage.path, "/healthz"])))
    // Built after the server, so it is closed before it.
    const bell = Layer.effectDiscard(
      Effect.addFinalizer(() =>
        Effect.sync(() => {
          closing = true
        })
      )
    )
    return Layer.provideMerge(bell, server)
  })

/** Routes for clients only. */
export const layerClients: Layer.Layer<never, never, HttpServer.HttpServer | ClientServices> = serve(
  ClientApiServer.layer
)
