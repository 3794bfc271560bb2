/**
 * Answers peers over HTTP: the server side of the peer protocol, at `POST /peer`.
 */
import { Limits, type ReplicaId } from "@quorum/core"
import {
  PeerCaller,
  PeerChannel,
  PeerFrame,
  PeerHandler,
  PeerProtocol,
  PeerSecret,
  Refusals,
  ReplicaServer,
  ServerConnections,
  ServerLimits
} from "@quorum/core/adapter"
import { ByteSize, Effect, type Layer, Option, Result } from "effect"
import { HttpIncomingMessage, HttpRouter, type HttpServerRequest, HttpServerResponse } from "effect/http"
import * as PeerMessage from "./PeerMessage.ts"
import * as PlainError from "../PlainError.ts"

/** How a replica answers its peers. */
export interface Options {
  /**
   * The identity that the transport has proved for a request, a client certificate's subject for example; none when it
   * proves nothing, which is refused, as is a handshake that claims another id. It must not be taken from a header or the
   * body that the caller wrote.
   */
  readonly identify?: (request: HttpServerRequest.HttpServerRequest) => Option.Option<ReplicaId.ReplicaId>
}

/**
 * Serves the peer protocol on the router. Another content type is answered with 415, a body beyond
 * `PeerProtocol.maxMessageBytes` with 413 and without keeping it, and bytes that are no frame of the protocol with 400.
 *
 * Peers prove who they are when there is a `PeerSecret`; what proves nothing is answered with 403. Without one, let only
 * peers reach it, by the network or by client certificates and `identify`.
 */
export const layer = (
  options: Options = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | PeerHandler.PeerHandler> =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const handler = yield* PeerHandler.PeerHandler
      const maxBytes = PeerProtocol.maxMessageBytes(yield* Limits.Limits)
      const unsupported = PlainError.make(415, "unsupported_media_type", `peers speak ${PeerMessage.contentType}`)
      const upgrade = PlainError.make(400, "invalid_request", "upgrade: there is nothing here to upgrade to", {
        field: "upgrade",
        detail: "there is nothing here to upgrade to"
      })
      const tooLarge = PlainError.make(413, "request_too_large", `the limit is ${maxBytes} bytes`)
      const invalid = (detail: string) =>
        PlainError.make(400, "invalid_request", "the body is not a message of the protocol", { field: "body", detail })

      const secret = yield* PeerSecret.PeerSecret
      const turnAway = yield* Refusals.make
      const away = (reason: Refusals.Reason, answer: HttpServerResponse.HttpServerResponse) =>
        Effect.flatMap(PeerCaller.PeerCaller, ({ address }) => Effect.as(turnAway(reason, address), answer))
      const door = secret === undefined ? undefined : PeerChannel.door(secret, maxChannels)
      const ok = (bytes: Uint8Array) => HttpServerResponse.uint8Array(bytes, { contentType: PeerMessage.contentType })

      const answerFrame = (source: object, frame: Uint8Array, seal: PeerChannel.Seal) => {
        const request = PeerFrame.decodeRequest(frame)
        if (Result.isFailure(request)) return away("not_the_protocol", invalid(request.failure.message))
        const { message, number } = request.success
        return Effect.map(PeerHandler.answer(handler, message), (said) => {
          const { result }: { readonly result: Result.Result<unknown, unknown> } = said
          if (Result.isSuccess(result)) ServerConnections.proved(source)
          return ok(seal(PeerFrame.encodeAnswer(number, said)))
        })
      }
      const answer = (source: object, body: ArrayBuffer): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
        const bytes = new Uint8Array(body)
        if (door === undefined) return answerFrame(source, bytes, (frame) => frame)
        const received = door.received(bytes)
        if (received === undefined) return away("unproven", unproven)
        // A member: nobody has to be told.
        if (received._tag === "Outdated") return Effect.succeed(unproven)
        if (received._tag === "Opened") return Effect.succeed(ok(received.bytes))
        const answered = PeerHandler.provenBy(received.caller)(answerFrame(source, received.frame, received.seal))
        return Effect.updateService(answered, PeerCaller.PeerCaller, (caller) => ({
          ...caller,
          connection: received.channel
        }))
      }
      const { identify } = options
      const called = (request: HttpServerRequest.HttpServerRequest) => {
        const address = Option.getOrUndefined(request.remoteAddress)
        const refuse = (answer: HttpServerResponse.HttpServerResponse) =>
          Effect.as(turnAway("not_the_protocol", address), answer)
        if (request.headers["content-type"] !== PeerMessage.contentType) return refuse(unsupported)
        // Node hands the connection over then, and nobody looks at how its body comes.
        if (request.headers["upgrade"] !== undefined) return refuse(upgrade)
        if (Number(request.headers["content-length"]) > maxBytes) return refuse(tooLarge)
        const answered = request.arrayBuffer.pipe(
          Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBytes)),
          Effect.matchEffect({
            onSuccess: (body) => answer(request.source, body),
            onFailure: ({ reason }) =>
              refuse(
                reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
                  ? tooLarge
                  : invalid("it cannot be read")
              )
          }),
          Effect.provideService(PeerCaller.PeerCaller, {
            connection: PeerMessage.connectionOf(request.headers[PeerMessage.connectionHeader]),
            isOpen: () => !ServerLimits.isEnded(request.source),
            address
          })
        )
        if (identify === undefined) return answered
        const proven = identify(request)
        if (Option.isNone(proven)) return Effect.as(turnAway("unproven", address), unproven)
        return Effect.provideService(answered, PeerProtocol.ProvenIdentity, proven)
      }
      yield* router.add("POST", ReplicaServer.peerPath, ReplicaServer.forPeers(turnAway, called))
    })
  )

// ---------------------------------------------------------------------------------------------------------------------

/** How many channels of a caller are kept, and how many that were not used yet. */
const maxChannels = 256

/** The same whatever is wrong: a stranger learns nothing about the set. */
const unproven = PlainError.make(403, "forbidden", "who calls proves nothing")
