/** The two ends of the transport over WebSocket, on real sockets. */
import { NodeHttpServer, NodeWS } from "@effect/platform-node"
import { ReplicaSet } from "@quorum/core"
import { PeerHandler, PeerSecret, PeerTransport, ServerLimits } from "@quorum/core/adapter"
import { Wire } from "@quorum/testing"
import { NodeCodes } from "@quorum/node"
import { Context, Effect, Layer, type Redacted } from "effect"
import { HttpServer } from "effect/http"
import type { Socket } from "effect/socket"
import * as Http from "node:http"
import { WsPeerServer, WsPeerTransport } from "../../src/index.ts"

/** The most that a peer may send in one message, and how long it may take to answer a goodbye. */
const websocket = { ...ServerLimits.messagesOf(), closeTimeout: 1000 }

/** A wire whose callers use the given WebSocket: that of the package ws unless another is given. */
export const make = (
  webSocket: Layer.Layer<Socket.WebSocketConstructor> = NodeWS.layerWebSocketConstructor,
  secret?: Redacted.Redacted<string>
): Wire.Wire["Service"] =>
  Wire.Wire.of({
    serve: (self, handler) =>
      WsPeerServer.serve().pipe(
        Layer.provide(Layer.succeed(PeerHandler.PeerHandler, handler)),
        Layer.provide(PeerSecret.layer(secret)),
        Layer.provide([NodeCodes.layer, ReplicaSet.layer({ cluster: "conformance", self, members: ["a", "b", "c"] })]),
        Layer.provideMerge(
          NodeHttpServer.layerServer(() => Http.createServer(), {
            host: "127.0.0.1",
            port: 0,
            websocket
          })
        ),
        Layer.build,
        Effect.map((context) => {
          const { address } = Context.get(context, HttpServer.HttpServer)
          return "port" in address ? address.port : undefined
        })
      ),
    transport: (members, portOf) =>
      WsPeerTransport.layer({
        peers: Object.fromEntries(members.peers.map((peer) => [peer, `ws://127.0.0.1:${portOf(peer)}`]))
      }).pipe(
        Layer.provide(webSocket),
        Layer.provide(PeerSecret.layer(secret)),
        Layer.provide(NodeCodes.layer),
        Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, members)),
        Layer.build,
        Effect.map((context) => Context.get(context, PeerTransport.PeerTransport))
      )
  })
