/**
 * A replica on Node that speaks WebSocket with its peers, in one line: what reaches them, and what answers them.
 */
import * as NodeWS from "@effect/platform-node/NodeWS"
import { Limits, type ReplicaId } from "@quorum/core"
import { type PeerUrls, ServerLimits } from "@quorum/core/adapter"
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
            const messages = ServerLimits.messagesOf(limits)
            return WsPeerTransport.layer({ peers, open: (peer, url) => open(peer, new URL(url), tls, messages) })
          })
        ).pipe(Layer.provide(NodeWS.layerWebSocketConstructor)),
      routes: Layer.empty
    },
    options
  )

// ---------------------------------------------------------------------------------------------------------------------

/**
 * With TLS, whoever answers has to be the peer that was called. Who proves nothing answers too, so it is bounded, and is
 * not offered to compress, as the package ws does unless it is told.
 */
const open = (
  peer: ReplicaId.ReplicaId,
  url: URL,
  tls: PeerTls.Tls | undefined,
  messages: ReturnType<typeof ServerLimits.messagesOf>
) => {
  const options = { ...Masking.optionsOf(url), ...messages, perMessageDeflate: false }
  if (tls === undefined) return new NodeWS.WebSocket(url, options)
  const createConnection = () => tls.connect(peer, { host: url.hostname, port: Number(url.port) || 443 })
  return new NodeWS.WebSocket(url, { ...options, createConnection })
}
