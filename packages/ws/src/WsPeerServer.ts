/**
 * Answers peers over WebSocket: the server side of the peer protocol, at `GET /peer`, on the router that may serve the
 * client API too.
 */
import { type Limits, PeerHandler, PeerProtocol, type ReplicaId } from "@quorum/core"
import { Deferred, Effect, Layer, type Option } from "effect"
import { HttpRouter, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { RpcSerialization, RpcServer } from "effect/rpc"
import * as WsPath from "./WsPath.ts"

/** How a replica answers its peers. */
export interface Options {
  /** The limits of writes, the same on all members; they decide how large a frame may be. */
  readonly limits?: Limits.Limits
  /**
   * The identity that the transport has proved for a connection, a client certificate's subject for example; none when
   * it proves nothing. A handshake that claims another id is refused. It must not be taken from a header that the
   * caller wrote.
   */
  readonly identify?: (request: HttpServerRequest.HttpServerRequest) => Option.Option<ReplicaId.ReplicaId>
}

/**
 * A server for peers: the peer protocol, and other routes if any are given, on one port. When its scope closes it ends
 * the peers' connections first, so it stops at once.
 */
export const serve = <A = never, E = never, R = never>(options: Options = {}, routes?: Layer.Layer<A, E, R>) =>
  Layer.suspend(() => {
    const closing = Deferred.makeUnsafe<void>()
    const peers = route(options, Deferred.await(closing))
    const server = HttpRouter.serve(routes === undefined ? peers : Layer.merge(peers, routes), { disableLogger: true })
    // Built after the server, so it is closed before it.
    const bell = Layer.effectDiscard(Effect.addFinalizer(() => Deferred.succeed(closing, undefined)))
    return Layer.provideMerge(bell, server)
    // Several replicas in one program must not share handlers, as layers that are used twice would.
  }).pipe(Layer.fresh)

/**
 * Serves the peer protocol on a router. A request that is no upgrade is answered with 426. Bytes that are not the
 * protocol, or beyond the limit, end the connection.
 *
 * The connections are ended when the server that the router belongs to interrupts them; Node's waits 20 seconds for them
 * to end by themselves. {@link serve} ends them first.
 *
 * Not authenticated by itself: let only peers reach it, by the network or by client certificates and `identify`.
 */
export const layer = (
  options: Options = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | PeerHandler.PeerHandler> => route(options, Effect.never)

// ---------------------------------------------------------------------------------------------------------------------

const route = (options: Options, closing: Effect.Effect<void>) =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const rpc = yield* RpcServer.toHttpEffectWebsocket(PeerProtocol.PeerRpcs, {
        disableTracing: true,
        disableFatalDefects: true
      })
      const { identify } = options
      const connection = Effect.raceFirst(rpc, Effect.as(closing, HttpServerResponse.empty()))
      yield* router.add("GET", WsPath.path, (request) => {
        if (request.headers["upgrade"]?.toLowerCase() !== "websocket") return Effect.succeed(upgradeRequired)
        return identify === undefined
          ? connection
          : Effect.provideService(connection, PeerProtocol.ProvenIdentity, identify(request))
      })
    })
  ).pipe(Layer.provide([PeerHandler.layerRpc, strict(PeerProtocol.maxMessageBytes(options.limits))]))

/**
 * The encoding of the protocol, for a server. A stream that could not be decoded once cannot be decoded any more, and
 * Effect's server ends a connection for this one error only.
 */
const strict = (maxFrameSize: number) =>
  Layer.effect(
    RpcSerialization.RpcSerialization,
    Effect.map(RpcSerialization.RpcSerialization, (serialization) =>
      RpcSerialization.RpcSerialization.of({
        ...serialization,
        makeUnsafe: () => {
          const parser = serialization.makeUnsafe()
          return {
            encode: parser.encode,
            decode: (data) => {
              try {
                return parser.decode(data)
              } catch {
                throw new RpcSerialization.MaxBufferSizeExceeded({ maxBufferSize: maxFrameSize })
              }
            }
          }
        }
      })
    )
  ).pipe(Layer.provide(RpcSerialization.layerSchemaBinary({ maxFrameSize })))

const upgradeRequired = HttpServerResponse.jsonUnsafe(
  { error: "upgrade_required", message: "peers connect here with a WebSocket" },
  { status: 426, headers: { upgrade: "websocket" } }
)
