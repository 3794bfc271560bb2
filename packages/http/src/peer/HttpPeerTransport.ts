/**
 * Reaches peers over HTTP: the client side of the peer protocol.
 *
 * Only an answer with status 200, from the address that was asked, of the protocol's content type and within the size
 * limit is read at all; what it says is then core's business. Nothing is retried and no redirect is followed.
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
import { Effect, Layer, Result, type Scope, Stream } from "effect"
import {
  FetchHttpClient,
  HttpBody,
  HttpClient,
  type HttpClientError,
  HttpClientRequest,
  type HttpClientResponse
} from "effect/http"
import * as PeerMessage from "./PeerMessage.ts"

/** How a replica is told where its peers are. */
export interface Options {
  /** Where each replica answers, by replica id: `http://host:port` or `https://…`, with a path when a proxy adds one. */
  readonly peers: PeerUrls.PeerUrls
  /** The client for one connection to a peer, where peers are reached in different ways; that of the context unless given. */
  readonly clientFor?:
    | ((peer: ReplicaId.ReplicaId) => Effect.Effect<HttpClient.HttpClient, never, Scope.Scope>)
    | undefined
}

/**
 * Builds the transport. One push is under way per peer, because several HTTP connections do not keep their order.
 *
 * Connections are those of the `HttpClient`: give it one that keeps them alive (`NodeHttpClient.layerUndici` does;
 * `layerNodeHttp` needs an agent with `keepAlive`). `fetch` follows redirects by itself, so it is told not to; a custom
 * `FetchHttpClient.Fetch` has to be provided to this layer, not to `FetchHttpClient.layer`, to be used. An undici
 * dispatcher or another client that follows redirects where nobody can see it must not be given.
 */
export const make: (
  options: Options
) => Effect.Effect<
  PeerTransport.PeerTransport["Service"],
  PeerUrls.InvalidPeerUrls,
  HttpClient.HttpClient | ReplicaSet.ReplicaSet
> = Effect.fnUntraced(function* (options) {
  const members = yield* ReplicaSet.ReplicaSet
  const urls = yield* Effect.fromResult(PeerUrls.check(members, options.peers, "http"))
  const shared = yield* HttpClient.HttpClient
  const { clientFor = () => Effect.succeed(shared) } = options
  const fetch = yield* FetchHttpClient.Fetch
  const maxBytes = PeerProtocol.maxMessageBytes(yield* Limits.Limits)
  const secret = yield* PeerSecret.PeerSecret
  const fetchWithoutRedirects: typeof globalThis.fetch = (input, init) => fetch(input, { ...init, redirect: "manual" })

  return PeerTransport.PeerTransport.of({
    maxInFlight: 1,
    connect: Effect.fnUntraced(function* (peer) {
      const url = urls.get(peer)
      if (url === undefined) {
        const detail = "not a peer of this replica"
        return yield* new PeerProtocol.PeerUnreachable({ peer, reason: "refused", detail })
      }
      const client = yield* clientFor(peer)
      const address = url + ReplicaServer.peerPath
      const headers = { [PeerMessage.connectionHeader]: PeerMessage.newConnection() }
      const post = (bytes: Uint8Array) => {
        const body = HttpBody.uint8Array(bytes, PeerMessage.contentType)
        return client.execute(HttpClientRequest.post(address, { body, headers })).pipe(
          Effect.flatMap((response) => bodyOf(peer, response, address, maxBytes)),
          Effect.catchTag("HttpClientError", (error) => Effect.fail(PeerProtocol.disconnected(peer, error))),
          Effect.provideService(FetchHttpClient.Fetch, fetchWithoutRedirects),
          Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
        )
      }
      if (secret === undefined) return clientOf(peer, post)
      const opening = PeerChannel.open(secret, peer)
      const channel = yield* Effect.flatMap(post(opening.bytes), opening.answered)
      return clientOf(peer, (frame) =>
        Effect.flatMap(post(channel.seal(frame)), (bytes) => {
          const answer = channel.open(bytes)
          return answer === undefined ? Effect.fail(invalid(peer, PeerChannel.notProven)) : Effect.succeed(answer)
        })
      )
    })
  })
})

/** {@link make} as a layer. */
export const layer = (
  options: Options
): Layer.Layer<PeerTransport.PeerTransport, PeerUrls.InvalidPeerUrls, HttpClient.HttpClient | ReplicaSet.ReplicaSet> =>
  Layer.effect(PeerTransport.PeerTransport, make(options))

// ---------------------------------------------------------------------------------------------------------------------

/** A client whose requests are numbered, and counts only the answer to the number that it asked. */
const clientOf = (
  peer: ReplicaId.ReplicaId,
  exchange: (frame: Uint8Array) => Effect.Effect<Uint8Array, PeerProtocol.PeerUnreachable>
) => {
  let requests = 0
  return PeerFrame.clientOf(peer, (request) =>
    Effect.suspend(() => {
      const number = (requests = (requests + 1) >>> 0)
      return Effect.flatMap(exchange(PeerFrame.encodeRequest(number, request)), (frame) => {
        const answer = PeerFrame.decodeAnswer(frame)
        if (Result.isFailure(answer)) return Effect.fail(invalid(peer, answer.failure.message))
        if (answer.success.number !== number) return Effect.fail(invalid(peer, "it answers another request"))
        return Effect.succeed(answer.success.message)
      })
    })
  )
}

/** How long the rest of an answer that does not count may take, in milliseconds, before its connection is closed. */
const discardMillis = 100

const invalid = (peer: ReplicaId.ReplicaId, detail: string): PeerProtocol.PeerUnreachable =>
  new PeerProtocol.PeerUnreachable({ peer, reason: "invalid_answer", detail })

/** The body of an answer of the protocol, limited; fails for everything else before it is decoded. */
const bodyOf = (
  peer: ReplicaId.ReplicaId,
  response: HttpClientResponse.HttpClientResponse,
  url: string,
  maxBytes: number
): Effect.Effect<Uint8Array, HttpClientError.HttpClientError | PeerProtocol.PeerUnreachable> => {
  const chunks: Array<Uint8Array> = []
  let length = 0
  const limited = Stream.runForEach(response.stream, (chunk) => {
    chunks.push(chunk)
    length += chunk.length
    return length > maxBytes ? Effect.fail(invalid(peer, `the answer is larger than ${maxBytes} bytes`)) : Effect.void
  })
  const refusal = notTheProtocol(peer, response, url)
  if (refusal !== undefined) {
    // Reading the answer to its end, or giving up on it, frees the connection.
    return Effect.ignore(limited).pipe(Effect.timeoutOption(discardMillis), Effect.andThen(Effect.fail(refusal)))
  }
  // A body ends where its head says that it does, unless it is packed: that is the length before it was unpacked.
  if (Number(response.headers["content-length"]) <= maxBytes && response.headers["content-encoding"] === undefined) {
    return Effect.map(response.arrayBuffer, (body) => new Uint8Array(body))
  }
  return Effect.map(limited, () => concat(chunks, length))
}

const concat = (chunks: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

const notTheProtocol = (
  peer: ReplicaId.ReplicaId,
  response: HttpClientResponse.HttpClientResponse,
  url: string
): PeerProtocol.PeerUnreachable | undefined => {
  if (response.status !== 200) return PeerProtocol.answeredWith(peer, response.status)
  if (response.url !== url) return invalid(peer, `the answer came from ${response.url}`)
  const contentType = response.headers["content-type"]
  return contentType === PeerMessage.contentType
    ? undefined
    : invalid(peer, `the answer has content type ${contentType ?? "none"}, not that of the protocol`)
}
