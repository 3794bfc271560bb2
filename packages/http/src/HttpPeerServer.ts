/**
 * Answers peers over HTTP: the server side of the peer protocol, at `POST /peer`.
 */
import { type Limits, PeerHandler, PeerProtocol, type ReplicaId } from "@quorum/core"
import { ByteSize, Effect, Layer, type Option } from "effect"
import { type HttpBody, HttpIncomingMessage, HttpRouter, type HttpServerRequest } from "effect/http"
import { RpcServer } from "effect/rpc"
import * as PeerMessage from "./PeerMessage.ts"
import * as PlainError from "./PlainError.ts"

/** How a replica answers its peers. */
export interface Options {
  /** The limits of writes, the same on all members; they decide how large a request may be. */
  readonly limits?: Limits.Limits
  /**
   * The identity that the transport has proved for a request, a client certificate's subject for example; none when it
   * proves nothing. A handshake that claims another id is refused. It must not be taken from a header or the body that
   * the caller wrote.
   */
  readonly identify?: (request: HttpServerRequest.HttpServerRequest) => Option.Option<ReplicaId.ReplicaId>
}

/**
 * Serves the peer protocol on the router. Another content type is answered with 415, a body beyond
 * `PeerProtocol.maxMessageBytes` with 413 and without keeping it, bytes that are no whole message with 400, and a message that
 * does not decode with a defect of the protocol, which no peer takes for an ack.
 *
 * Not authenticated by itself: let only peers reach it, by the network or by client certificates and `identify`.
 */
export const layer = (
  options: Options = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | PeerHandler.PeerHandler> =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const rpc = yield* RpcServer.toHttpEffect(PeerProtocol.PeerRpcs, {
        disableTracing: true,
        disableFatalDefects: true
      })
      const maxBytes = PeerProtocol.maxMessageBytes(options.limits)
      const answer = rpc.pipe(
        Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBytes)),
        // Nothing was asked: the body was not one whole message.
        Effect.map((response) => (isEmpty(response.body) ? incomplete : response))
      )
      const unsupported = PlainError.make(415, "unsupported_media_type", `peers speak ${PeerMessage.contentType}`)
      const tooLarge = PlainError.make(413, "request_too_large", `the limit is ${maxBytes} bytes`)
      const incomplete = PlainError.make(400, "invalid_request", "the body is not a message of the protocol", {
        field: "body",
        detail: "it is not a message of the protocol"
      })
      const { identify } = options
      yield* router.add("POST", PeerMessage.path, (request) => {
        if (request.headers["content-type"] !== PeerMessage.contentType) return Effect.succeed(unsupported)
        if (Number(request.headers["content-length"]) > maxBytes) return Effect.succeed(tooLarge)
        return identify === undefined
          ? answer
          : Effect.provideService(answer, PeerProtocol.ProvenIdentity, identify(request))
      })
    })
  ).pipe(Layer.provide([PeerHandler.layerRpc, PeerMessage.layerSerialization(options.limits)]))

// ---------------------------------------------------------------------------------------------------------------------

const isEmpty = (body: HttpBody.HttpBody): boolean =>
  body._tag === "Empty" || (body._tag === "Uint8Array" && body.contentLength === 0)
