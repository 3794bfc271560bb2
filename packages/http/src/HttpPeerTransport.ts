/**
 * Reaches peers over HTTP: the client side of the peer protocol.
 *
 * Only an answer with status 200, from the address that was asked, of the protocol's content type and within the size
 * limit is read at all; what it says is then core's business. Nothing is retried and no redirect is followed.
 */
import { type Limits, PeerProtocol, PeerTransport, PeerUrls, ReplicaSet } from "@quorum/core"
import { Effect, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { RpcClient } from "effect/rpc"
import * as PeerMessage from "./PeerMessage.ts"

/** How a replica is told where its peers are. */
export interface Options {
  /** Where each replica answers, by replica id: `http://host:port` or `https://…`, with a path when a proxy adds one. */
  readonly peers: PeerUrls.PeerUrls
  /** The limits of writes, the same on all members; they decide how large an answer may be. */
  readonly limits?: Limits.Limits
}

/**
 * Builds the transport. One push is under way per peer, because several HTTP connections do not keep their order.
 *
 * Connections are those of the `HttpClient`: give it one that keeps them alive (`NodeHttpClient.layerUndici` does;
 * `layerNodeHttp` needs an agent with `keepAlive`). `fetch` follows redirects by itself, so it is told not to; a custom
 * `FetchHttpClient.Fetch` has to be provided to this layer, not to `FetchHttpClient.layer`, to be used. An undici
 * dispatcher or another client that follows redirects where nobody can see it must not be given.
 */
export const make = Effect.fnUntraced(function* (options: Options) {
  const members = yield* ReplicaSet.ReplicaSet
  const urls = yield* Effect.fromResult(PeerUrls.check(members, options.peers, ["http:", "https:"]))
  const client = yield* HttpClient.HttpClient
  const fetch = yield* FetchHttpClient.Fetch
  const serialization = yield* Layer.build(PeerMessage.layerSerialization(options.limits))
  const maxBytes = PeerProtocol.maxMessageBytes(options.limits)
  const fetchWithoutRedirects: typeof globalThis.fetch = (input, init) => fetch(input, { ...init, redirect: "manual" })

  const clientOf = (url: string) =>
    client.pipe(
      HttpClient.mapRequest(HttpClientRequest.setUrl(url)),
      HttpClient.transformResponse((send) =>
        Effect.flatMap(send, (response) => accept(response, url, maxBytes)).pipe(
          Effect.provideService(FetchHttpClient.Fetch, fetchWithoutRedirects),
          Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
        )
      )
    )

  return PeerTransport.PeerTransport.of({
    maxInFlight: 1,
    connect: Effect.fnUntraced(function* (peer) {
      const url = urls.get(peer)
      if (url === undefined) {
        const detail = "not a peer of this replica"
        return yield* new PeerProtocol.PeerUnreachable({ peer, reason: "refused", detail })
      }
      const protocol = yield* Effect.provideContext(
        RpcClient.makeProtocolHttp(clientOf(url + PeerMessage.path)),
        serialization
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

/** {@link make} as a layer. */
export const layer = (
  options: Options
): Layer.Layer<PeerTransport.PeerTransport, PeerUrls.InvalidPeerUrls, HttpClient.HttpClient | ReplicaSet.ReplicaSet> =>
  Layer.effect(PeerTransport.PeerTransport, make(options))

// ---------------------------------------------------------------------------------------------------------------------

/** How long the rest of an answer that does not count may take, in milliseconds, before its connection is closed. */
const discardMillis = 100

/** Lets an answer of the protocol through, its body limited; fails for everything else before it is decoded. */
const accept = (
  response: HttpClientResponse.HttpClientResponse,
  url: string,
  maxBytes: number
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> => {
  const tooLarge = () =>
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.DecodeError({
        request: response.request,
        response,
        description: `the answer is larger than ${maxBytes} bytes`
      })
    })
  const stream = Stream.suspend(() => {
    let bytes = 0
    return Stream.mapEffect(response.stream, (chunk) => {
      bytes += chunk.length
      return bytes > maxBytes ? Effect.fail(tooLarge()) : Effect.succeed(chunk)
    })
  })
  const refusal = notTheProtocol(response, url)
  if (refusal !== undefined) {
    // Reading the answer to its end, or giving up on it, frees the connection.
    return Effect.ignore(Stream.runDrain(stream)).pipe(
      Effect.timeoutOption(discardMillis),
      Effect.andThen(
        Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.StatusCodeError({ request: response.request, response, description: refusal })
          })
        )
      )
    )
  }
  return Effect.succeed(Object.create(response, { stream: { value: stream } }) as HttpClientResponse.HttpClientResponse)
}

const notTheProtocol = (response: HttpClientResponse.HttpClientResponse, url: string): string | undefined => {
  if (response.status !== 200) return `the answer has status ${response.status}`
  if (response.url !== url) return `the answer came from ${response.url}`
  const contentType = response.headers["content-type"]
  return contentType === PeerMessage.contentType
    ? undefined
    : `the answer has content type ${contentType ?? "none"}, not that of the protocol`
}
