/**
 * Answers peers over WebSocket: the server side of the peer protocol, at `GET /peer`, on the router that may serve the
 * client API too.
 */
import { Limits, type ReplicaId } from "@quorum/core"
import {
  Endings,
  PeerCaller,
  PeerChannel,
  PeerFrame,
  PeerHandler,
  PeerProtocol,
  PeerSecret,
  Problem,
  Refusals,
  ReplicaServer,
  ServerConnections,
  ServerLimits
} from "@quorum/core/adapter"
import { Effect, Layer, Option, Result, Semaphore } from "effect"
import { HttpRouter, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { Socket } from "effect/socket"

/** How a replica answers its peers. */
export interface Options {
  /**
   * The identity that the transport has proved for a connection, a client certificate's subject for example; none when
   * it proves nothing, which is refused, as is a handshake that claims another id. It must not be taken from a header
   * that the caller wrote.
   */
  readonly identify?: (request: HttpServerRequest.HttpServerRequest) => Option.Option<ReplicaId.ReplicaId>
}

/**
 * A server for peers: the peer protocol, and other routes if any are given, on one port; see `ReplicaServer.serve`. When
 * its scope closes it ends the peers' connections first, so it stops at once.
 */
export const serve = <A = never, E = never, R = never>(options: Options = {}, routes?: Layer.Layer<A, E, R>) =>
  ReplicaServer.serve(routes === undefined ? layer(options) : Layer.merge(layer(options), routes))

/**
 * Serves the peer protocol on a router. A request that is no upgrade is answered with 426. Bytes that are not the
 * protocol, or beyond the limit, end the connection, and so does a caller that says no hello in time
 * (`ServerLimits.helloMillis`), or nothing any more.
 *
 * The connections are ended when the server that the router belongs to interrupts them; Node's waits 20 seconds for them
 * to end by themselves. {@link serve} ends them first.
 *
 * Peers prove who they are when there is a `PeerSecret`; what proves nothing ends its connection. Without one, let only
 * peers reach it, by the network or by client certificates and `identify`.
 */
export const layer = ({ identify }: Options = {}): Layer.Layer<
  never,
  never,
  HttpRouter.HttpRouter | PeerHandler.PeerHandler
> =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const handler = yield* PeerHandler.PeerHandler
      const maxBytes = PeerProtocol.maxMessageBytes(yield* Limits.Limits)
      const secret = yield* PeerSecret.PeerSecret
      const turnAway = yield* Refusals.make
      const ended = yield* Endings.make
      const called = (request: HttpServerRequest.HttpServerRequest) => {
        if (request.headers["upgrade"]?.toLowerCase() !== "websocket") return Effect.succeed(upgradeRequired)
        const address = Option.getOrUndefined(request.remoteAddress)
        const connection = Effect.flatMap(Effect.orDie(request.upgrade), (socket) =>
          serveOn(
            socket,
            request.source,
            handler,
            maxBytes,
            (reason) => turnAway(reason, address),
            () => ended("unread", address),
            secret === undefined ? undefined : PeerChannel.door(secret, 1)
          )
        ).pipe(
          Effect.provideService(PeerCaller.PeerCaller, {
            connection: request.source,
            isOpen: () => !ServerLimits.isEnded(request.source),
            address
          })
        )
        if (identify === undefined) return Effect.as(connection, HttpServerResponse.empty())
        const proven = identify(request)
        if (Option.isNone(proven)) return Effect.as(turnAway("unproven", address), unproven)
        const identified = Effect.provideService(connection, PeerProtocol.ProvenIdentity, proven)
        return Effect.as(identified, HttpServerResponse.empty())
      }
      yield* router.add("GET", ReplicaServer.peerPath, ReplicaServer.forPeers(turnAway, called))
    })
  )

// ---------------------------------------------------------------------------------------------------------------------

/** How many requests of one connection are worked on at once; further ones are not read before one is answered. */
const maxConcurrent = 16

/** How many of the largest answers may wait to be read. */
const maxUnread = 4

/**
 * Answers what comes on a connection, until it ends, or something comes that is not the protocol or proves nothing, or
 * what has to come does not.
 */
const serveOn = (
  socket: Socket.Socket,
  source: object,
  handler: PeerHandler.PeerHandler["Service"],
  maxBytes: number,
  turnAway: (reason: Refusals.Reason) => Effect.Effect<void>,
  unread: () => void,
  door: PeerChannel.Door | undefined
) =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const writer = yield* socket.writer
    const { pull } = yield* socket.reader
    const slots = yield* Semaphore.make(maxConcurrent)
    let isGreeted = false
    let frames = 0

    const answered = Effect.fnUntraced(function* (frame: Uint8Array, sealed?: PeerChannel.Received) {
      const request = PeerFrame.decodeRequest(frame)
      if (Result.isFailure(request)) return "refused"
      const { message, number } = request.success
      const isSealed = sealed?._tag === "Request"
      const answer = PeerHandler.answer(handler, message)
      yield* slots.take(1)
      // Whoever does not read its answers gets no more of them.
      if (ServerLimits.endUnread(source, maxUnread * maxBytes)) {
        unread()
        return "ended"
      }
      // Started in the order of the requests, so that pushes take effect in the order in which they were made.
      yield* Effect.forkIn(
        (isSealed ? PeerHandler.provenBy(sealed.caller)(answer) : answer).pipe(
          Effect.map((said) => {
            if (!isGreeted && said._tag === "hello" && Result.isSuccess(said.result)) {
              isGreeted = true
              ServerConnections.proved(source)
            }
            return PeerFrame.encodeAnswer(number, said)
          }),
          Effect.flatMap((bytes) => writer.write(isSealed ? sealed.seal(bytes) : bytes)),
          Effect.catchDefect(() => writer.write(new Socket.CloseEvent(1011, "the request could not be answered"))),
          Effect.ensuring(slots.release(1))
        ),
        scope,
        { startImmediately: true }
      )
      return "taken"
    })

    let isOpened = false
    const taken = Effect.fnUntraced(function* (frame: Uint8Array | string) {
      if (typeof frame === "string" || frame.length > maxBytes) return "refused"
      if (door === undefined) return yield* answered(frame)
      const received = door.received(frame)
      if (received?._tag === "Request") return yield* answered(received.frame, received)
      if (received?._tag === "Outdated") return "ended"
      // One channel for a connection.
      if (received === undefined || isOpened) return "unproven"
      isOpened = true
      yield* writer.write(received.bytes)
      return "taken"
    })

    const answering = Effect.gen(function* () {
      while (true) {
        for (const frame of yield* pull) {
          frames++
          const outcome = yield* taken(frame)
          if (outcome === "ended") return
          if (outcome === "taken") continue
          yield* turnAway(outcome === "unproven" ? "unproven" : "not_the_protocol")
          return yield* writer.write(new Socket.CloseEvent(1002, "not the protocol"))
        }
      }
    })
    const silence = Effect.gen(function* () {
      yield* Effect.sleep(ServerLimits.helloMillis)
      if (!isGreeted) yield* turnAway("silent")
      else for (let before = -1; before !== frames; yield* Effect.sleep(ServerLimits.silenceMillis)) before = frames
      ServerLimits.end(source)
    })
    yield* Effect.raceFirst(answering, silence)
  }).pipe(Effect.scoped, Effect.ignore)

/** The same whatever is wrong: a stranger learns nothing about the set. */
const unproven = Problem.make(403, "forbidden", "who calls proves nothing")

const upgradeRequired = HttpServerResponse.setHeader(
  Problem.make(426, "upgrade_required", "peers connect here with a WebSocket"),
  "upgrade",
  "websocket"
)
