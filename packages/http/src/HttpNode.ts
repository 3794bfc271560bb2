/**
 * A replica on Node that speaks HTTP, in one line: what reaches its peers, what answers them, and what answers clients.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type { ReplicaId } from "@quorum/core"
import type { PeerUrls } from "@quorum/core/adapter"
import { type PeerTls, ReplicaPort } from "@quorum/node"
import { Effect, Layer } from "effect"
import * as ClientApiServer from "./api/ClientApiServer.ts"
import * as HttpPeerServer from "./peer/HttpPeerServer.ts"
import * as HttpPeerTransport from "./peer/HttpPeerTransport.ts"

/** Where a replica listens, and where its peers are. */
export interface Options extends ReplicaPort.Options {
  /** Where each replica answers, by replica id: `http://host:port`, or `https://…`, with a path when a proxy adds one. */
  readonly peers: PeerUrls.PeerUrls
  /** What else is served on the port: the client API unless given. */
  readonly routes?: ReplicaPort.Routes
}

/**
 * Gives a replica its transport, and serves it: `Replica.layer().pipe(HttpNode.serve({ port, peers }))`. The services of
 * the replica stay available to the program. `WsNode` of `@quorum/ws` takes the same options.
 */
export const serve = (options: Options): ReplicaPort.Serving =>
  ReplicaPort.serve(
    {
      server: HttpPeerServer.layer,
      client: (peers, tls) =>
        Layer.provide(
          HttpPeerTransport.layer({
            peers,
            ...(tls === undefined ? {} : { clientFor: (peer) => clientFor(peer, tls) })
          }),
          NodeHttpClient.layerUndici
        ),
      routes: ClientApiServer.layer
    },
    options
  )

// ---------------------------------------------------------------------------------------------------------------------

/** With TLS a client for each connection to a peer, which has to be that peer's. */
const clientFor = (peer: ReplicaId.ReplicaId, tls: PeerTls.Tls) =>
  NodeHttpClient.makeDispatcherOptions({
    connect: ({ hostname, port }, connected) => {
      const socket = tls.connect(peer, { host: hostname, port: Number(port) || 443 })
      socket.once("secureConnect", () => connected(null, socket)).once("error", (error) => connected(error, null))
    }
  }).pipe(
    Effect.flatMap((dispatcher) =>
      Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, dispatcher)
    )
  )
