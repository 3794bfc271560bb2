/**
 * A replica on Node that speaks WebSocket with its peers, in one line: what reaches them, and what answers them.
 */
import * as NodeWS from "@effect/platform-node/NodeWS"
import { Limits, type ReplicaId } from "@quorum/core"
import { PeerProtocol, type PeerUrls } from "@quorum/core/adapter"
import { type PeerTls, ReplicaPort } from "@quorum/node"
import { Effect, Layer } from "effect"
import * as Masking from "./internal/Masking.ts"
import * as WsPeerServer from "./WsPeerServer.ts"
import * as WsPeerTransport from "./WsPeerTransport.ts"

/** Where a replica listens, and where its peers are. */
export interface Options extends ReplicaPort.Options {
  /** Where each replica answers, by replica id: `ws://host:port`, or `wss://…`; `http` and `https` name the same. */
  readonly peers: PeerUrls.PeerUrls
  /** What else is served on the port: nothing unless given. `ClientApiServer.layer` of `@quorum/http` is for clients. */
  readonly routes?: ReplicaPort.Routes
}

/**
 * Gives a replica its transport, and serves it: `Replica.layer().pipe(WsNode.serve({ port, peers }))`. The services of
 * the replica stay available to the program. `HttpNode` of `@quorum/http` takes the same options.
 */
export const serve = (options: Options): ReplicaPort.Serving =>
  ReplicaPort.serve(
    {
      server: WsPeerServer.layer,
      client: (peers, tls) =>
        Layer.unwrap(
          Effect.map(Limits.Limits, (limits) => {
            const maxPayload = PeerProtocol.maxMessageBytes(limits)
            return WsPeerTransport.layer({ peers, open: (peer, url) => open(peer, new URL(url), tls, maxPayload) })
          })
        ).pipe(Layer.provide(NodeWS.layerWebSocketConstructor)),
      routes: Layer.empty
    },
    options
  )

// ---------------------------------------------------------------------------------------------------------------------

/**
 * With TLS, whoever answers has to be the peer that was called. The package `ws` takes answers of 100 MiB, also of who
 * proves nothing, unless it is told how large they may be.
 */
const open = (peer: ReplicaId.ReplicaId, url: URL, tls: PeerTls.Tls | undefined, maxPayload: number) => {
  const options = { ...Masking.optionsOf(url), maxPayload }
  if (tls === undefined) return new NodeWS.WebSocket(url, options)
  const createConnection = () => tls.connect(peer, { host: url.hostname, port: Number(url.port) || 443 })
  return new NodeWS.WebSocket(url, { ...options, createConnection })
}
