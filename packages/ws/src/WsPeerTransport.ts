/**
 * Reaches peers over WebSocket: one connection per peer, which carries everything, several pushes at once and in order.
 */
import { type Limits, PeerProtocol, PeerTransport, PeerUrls, ReplicaSet } from "@quorum/core"
import { Effect, Layer, Schedule } from "effect"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Socket } from "effect/socket"
import * as WsPath from "./WsPath.ts"

/** How a replica is told where its peers are. */
export interface Options {
  /** Where each replica answers, by replica id: `ws://host:port` or `wss://…`. */
  readonly peers: PeerUrls.PeerUrls
  /** The limits of writes, the same on all members; they decide how large a frame may be. */
  readonly limits?: Limits.Limits
}

/** Pushes under way to one peer. Enough that the next batch is on its way while the peer's disk works. */
const maxInFlight = 4

/**
 * Builds the transport. A connection lives as long as the scope it was opened in: when it breaks, every call that is
 * under way fails, and the replicator opens a new one.
 */
export const make = Effect.fnUntraced(function* (options: Options) {
  const members = yield* ReplicaSet.ReplicaSet
  const urls = yield* Effect.fromResult(PeerUrls.check(members, options.peers, ["ws:", "wss:"]))
  const webSocket = yield* Socket.WebSocketConstructor
  const maxFrameSize = PeerProtocol.maxMessageBytes(options.limits)
  const serialization = yield* Layer.build(RpcSerialization.layerSchemaBinary({ maxFrameSize }))

  return PeerTransport.PeerTransport.of({
    maxInFlight,
    connect: Effect.fnUntraced(function* (peer) {
      const url = urls.get(peer)
      if (url === undefined) {
        const detail = "not a peer of this replica"
        return yield* new PeerProtocol.PeerUnreachable({ peer, reason: "refused", detail })
      }
      const socket = yield* Socket.fromWebSocket(
        Effect.acquireRelease(
          Effect.sync(() => webSocket(url + WsPath.path)),
          (connection) => Effect.sync(() => hangUp(connection))
        )
      )
      const protocol = yield* RpcClient.makeProtocolSocket({ retryPolicy: never }).pipe(
        Effect.provideContext(serialization),
        Effect.provideService(Socket.Socket, socket)
      )
      const rpc = yield* Effect.provideService(
        RpcClient.make(PeerProtocol.PeerRpcs, { disableTracing: true }),
        RpcClient.Protocol,
        protocol
      )
      return PeerProtocol.fromRpcClient(peer, rpc)
    })
  })
})

/**
 * {@link make} as a layer. The platform brings the WebSocket; on Node, `NodeWS.layerWebSocketConstructor`, which can end
 * a connection whose peer has fallen silent, and stops reading while too much is waiting. Node's own can do neither.
 */
export const layer = (
  options: Options
): Layer.Layer<
  PeerTransport.PeerTransport,
  PeerUrls.InvalidPeerUrls,
  Socket.WebSocketConstructor | ReplicaSet.ReplicaSet
> => Layer.effect(PeerTransport.PeerTransport, make(options))

// ---------------------------------------------------------------------------------------------------------------------

/** Connecting anew is the replicator's decision: a broken connection stays broken. */
const never = Schedule.recurs(0)

/** Ends a connection at once where that can be done: a peer that has fallen silent never answers a goodbye. */
const hangUp = (connection: Socket.WebSocketLike): void => {
  if ("terminate" in connection && typeof connection.terminate === "function") connection.terminate()
  else connection.close(1000)
}
