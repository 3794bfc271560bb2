import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { ReplicaSet } from "@quorum/core"
import { PeerHandler, PeerTransport } from "@quorum/core/adapter"
import { TransportConformance, Wire } from "@quorum/testing"
import { Context, Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import * as Http from "node:http"
import { HttpPeerTransport, HttpReplicaServer } from "../src/index.ts"

const wire = Layer.succeed(
  Wire.Wire,
  Wire.Wire.of({
    serve: (_, handler) =>
      HttpReplicaServer.layerPeers().pipe(
        Layer.provide(Layer.succeed(PeerHandler.PeerHandler, handler)),
        Layer.provideMerge(NodeHttpServer.layerServer(() => Http.createServer(), { host: "127.0.0.1", port: 0 })),
        Layer.build,
        Effect.map((context) => {
          const { address } = Context.get(context, HttpServer.HttpServer)
          return "port" in address ? address.port : undefined
        })
      ),
    transport: (members, portOf) =>
      HttpPeerTransport.layer({
        peers: Object.fromEntries(members.peers.map((peer) => [peer, `http://127.0.0.1:${portOf(peer)}`]))
      }).pipe(
        Layer.provide(NodeHttpClient.layerUndici),
        Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, members)),
        Layer.build,
        Effect.map((context) => Context.get(context, PeerTransport.PeerTransport))
      )
  })
)

TransportConformance.suite("the transport over HTTP", wire)
