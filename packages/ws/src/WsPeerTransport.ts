/**
 * Reaches peers over WebSocket: one connection per peer, which carries everything, several pushes at once and in order.
 */
import { Limits, type ReplicaId, ReplicaSet } from "@quorum/core"
import {
  PeerChannel,
  PeerFrame,
  PeerProtocol,
  PeerSecret,
  PeerTransport,
  PeerUrls,
  ReplicaServer
} from "@quorum/core/adapter"
import { Cause, Deferred, Effect, Exit, Layer, Result } from "effect"
import { Socket } from "effect/socket"

/** How a replica is told where its peers are. */
export interface Options {
  /** Where each replica answers, by replica id: `ws://host:port` or `wss://…`. */
  readonly peers: PeerUrls.PeerUrls
  /** Opens a connection to a peer, where peers are reached in different ways; that of the context unless given. */
  readonly open?: ((peer: ReplicaId.ReplicaId, url: string) => Socket.WebSocketLike) | undefined
}

/** Pushes under way to one peer. Enough that the next batch is on its way while the peer's disk works. */
const maxInFlight = 4

/**
 * Builds the transport. A connection lives as long as the scope it was opened in: when it breaks, every call that is
 * under way fails, and the replicator opens a new one.
 */
export const make: (
  options: Options
) => Effect.Effect<
  PeerTransport.PeerTransport["Service"],
  PeerUrls.InvalidPeerUrls,
  Socket.WebSocketConstructor | ReplicaSet.ReplicaSet
> = Effect.fnUntraced(function* (options) {
  const members = yield* ReplicaSet.ReplicaSet
  const urls = yield* Effect.fromResult(PeerUrls.check(members, options.peers, "ws"))
  const webSocket = yield* Socket.WebSocketConstructor
  const { open: call = (_, url) => webSocket(url) } = options
  const maxBytes = PeerProtocol.maxMessageBytes(yield* Limits.Limits)
  const secret = yield* PeerSecret.PeerSecret
  const open = new Map<ReplicaId.ReplicaId, Socket.WebSocketLike>()

  return PeerTransport.PeerTransport.of({
    maxInFlight,
    waitingBytes: (peer) => bufferedBy(open.get(peer)),
    connect: Effect.fnUntraced(function* (peer) {
      const url = urls.get(peer)
      if (url === undefined) {
        const detail = "not a peer of this replica"
        return yield* new PeerProtocol.PeerUnreachable({ peer, reason: "refused", detail })
      }
      const socket = yield* Socket.fromWebSocket(
        Effect.acquireRelease(
          Effect.sync(() => {
            const connection = call(peer, url + ReplicaServer.peerPath)
            // What fails before it is read would end the process, as nobody listens then.
            connection.addEventListener("error", ignored)
            open.set(peer, connection)
            return connection
          }),
          (connection) =>
            Effect.sync(() => {
              if (open.get(peer) === connection) open.delete(peer)
              hangUp(connection)
            })
        )
      )
      return yield* clientOf(peer, socket, maxBytes, secret)
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

/** Sends requests as frames, and hands each answer to the call that has its number. */
const clientOf = Effect.fnUntraced(function* (
  peer: ReplicaId.ReplicaId,
  socket: Socket.Socket,
  maxBytes: number,
  secret: PeerSecret.Secret | undefined
) {
  const writer = yield* socket.writer
  const waiting = new Map<number, Deferred.Deferred<PeerFrame.Answer, PeerProtocol.PeerUnreachable>>()
  const opened = Deferred.makeUnsafe<void, PeerProtocol.PeerUnreachable>()
  const opening = secret === undefined ? undefined : PeerChannel.open(secret, peer)
  const challenge = Deferred.makeUnsafe<Uint8Array, PeerProtocol.PeerUnreachable>()
  let channel: PeerChannel.Channel | undefined
  let requests = 0
  let ended: PeerProtocol.PeerUnreachable | undefined

  const invalid = (detail: string) => new PeerProtocol.PeerUnreachable({ peer, reason: "invalid_answer", detail })

  const received = (frame: Uint8Array | string): PeerProtocol.PeerUnreachable | undefined => {
    if (typeof frame === "string") return invalid("it answers with text")
    if (frame.length > maxBytes) return invalid(`an answer has ${frame.length} bytes, the limit is ${maxBytes}`)
    const answer = PeerFrame.decodeAnswer(frame)
    if (Result.isFailure(answer)) return invalid(answer.failure.message)
    const { message, number } = answer.success
    const call = waiting.get(number)
    // An answer that nobody waits for any more is no news.
    if (call !== undefined) Deferred.doneUnsafe(call, Effect.succeed(message))
    return undefined
  }

  /** Takes a message of a channel; the first opens it. */
  const unsealed = (bytes: Uint8Array | string): PeerProtocol.PeerUnreachable | undefined => {
    if (typeof bytes === "string" || bytes.length > maxBytes) return received(bytes)
    if (channel === undefined) return void Deferred.doneUnsafe(challenge, Effect.succeed(bytes))
    const frame = channel.open(bytes)
    return frame === undefined ? invalid(PeerChannel.notProven) : received(frame)
  }

  /** However the connection ends, every call on it fails, those that are made later too. */
  const end = (error: PeerProtocol.PeerUnreachable): void => {
    ended ??= error
    Deferred.doneUnsafe(opened, Effect.fail(ended))
    Deferred.doneUnsafe(challenge, Effect.fail(ended))
    for (const call of waiting.values()) Deferred.doneUnsafe(call, Effect.fail(ended))
  }

  yield* Effect.gen(function* () {
    const { pull } = yield* socket.reader
    Deferred.doneUnsafe(opened, Effect.void)
    while (true) {
      for (const frame of yield* pull) {
        const error = opening === undefined ? received(frame) : unsealed(frame)
        if (error !== undefined) return yield* error
      }
    }
  }).pipe(
    Effect.scoped,
    Effect.onExit((exit) =>
      Effect.sync(() => end(broken(peer, Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit)))
    ),
    Effect.ignoreCause,
    Effect.forkScoped
  )

  const call = (request: PeerFrame.Request) =>
    Effect.suspend(() => {
      if (ended !== undefined) return Effect.fail(ended)
      const number = (requests = (requests + 1) >>> 0)
      const frame = PeerFrame.encodeRequest(number, request)
      const answer = Deferred.makeUnsafe<PeerFrame.Answer, PeerProtocol.PeerUnreachable>()
      waiting.set(number, answer)
      return Deferred.await(opened).pipe(
        Effect.andThen(writer.write(channel === undefined ? frame : channel.seal(frame))),
        Effect.mapError((error) => ended ?? broken(peer, error)),
        Effect.andThen(Deferred.await(answer)),
        Effect.ensuring(Effect.sync(() => waiting.delete(number)))
      )
    })

  if (opening !== undefined) {
    yield* Deferred.await(opened)
    yield* Effect.mapError(writer.write(opening.bytes), (error) => ended ?? broken(peer, error))
    channel = yield* opening.answered(yield* Deferred.await(challenge))
  }
  return PeerFrame.clientOf(peer, call)
})

/** Whoever reads the connection finds that it is closed. */
const ignored = (): void => undefined

/** What the package ws says of an upgrade that was answered with something else. */
const otherStatus = /Unexpected server response: (\d{3})/

/** What it says of an answer that is larger than it was told to take. */
const tooLarge = /Max payload size exceeded/

const broken = (peer: ReplicaId.ReplicaId, error: unknown): PeerProtocol.PeerUnreachable => {
  if (error instanceof PeerProtocol.PeerUnreachable) return error
  const why = PeerProtocol.explain(error)
  if (tooLarge.test(why)) {
    const detail = "an answer is larger than a message may be"
    return new PeerProtocol.PeerUnreachable({ peer, reason: "invalid_answer", detail })
  }
  const status = otherStatus.exec(why)?.[1]
  return status === undefined ? PeerProtocol.disconnected(peer, error) : PeerProtocol.answeredWith(peer, Number(status))
}

/** Bytes that a connection has taken and not sent. Every WebSocket says so, also those whose type does not. */
const bufferedBy = (connection: Socket.WebSocketLike | undefined): number =>
  connection !== undefined && "bufferedAmount" in connection ? Number(connection.bufferedAmount) : 0

/** Ends a connection at once where that can be done: a peer that has fallen silent never answers a goodbye. */
const hangUp = (connection: Socket.WebSocketLike): void => {
  if ("terminate" in connection && typeof connection.terminate === "function") connection.terminate()
  else connection.close(1000)
}
