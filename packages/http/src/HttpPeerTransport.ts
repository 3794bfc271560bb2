/**
 * Reaches peers over HTTP: the client side of the peer protocol.
 *
 * Only an answer with status 200, from the address that was asked, of the protocol's content type and within the size
 * limit is read at all; what it says is then core's business. Nothing is retried and no redirect is followed.
 */
import { type Limits, PeerProtocol, PeerTransport, type ReplicaId, ReplicaSet } from "@quorum/core"
import { Effect, Layer, Result, Schema, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { RpcClient } from "effect/rpc"
import * as PeerMessage from "./PeerMessage.ts"

/** The addresses of the peers are not usable as configured. `detail` names the replica and what is wrong. */
export class InvalidPeerUrls extends Schema.TaggedError<InvalidPeerUrls>()("InvalidPeerUrls", {
  detail: Schema.String
}) {
  override get message(): string {
    return `invalid peer urls: ${this.detail}`
  }
}

/** How a replica is told where its peers are. */
export interface Options {
  /**
   * Where each replica answers, by replica id: `http://host:port` or `https://…`, with a path when a proxy adds one.
   * Every peer needs one. This replica may be listed too, so that all members can share one configuration; whoever is
   * not a member may not.
   */
  readonly peers: Readonly<Record<string, string>>
  /** The limits of writes, the same on all members; they decide how large an answer may be. */
  readonly limits?: Limits.Limits
}

/**
 * Checks the addresses and normalises them: no peer without one, no stranger, no two spellings of one address (law
 * L13), and no credentials, which would end up in logs. Returns the peers only.
 */
export const peerUrls = (
  members: ReplicaSet.Members,
  peers: Options["peers"]
): Result.Result<ReadonlyMap<ReplicaId.ReplicaId, string>, InvalidPeerUrls> => {
  const fail = (detail: string) => Result.fail(new InvalidPeerUrls({ detail }))
  const byUrl = new Map<string, string>()
  const byId = new Map<string, string>()
  const known: ReadonlyArray<string> = [members.self, ...members.peers]
  for (const [id, text] of Object.entries(peers)) {
    if (!known.includes(id)) return fail(`${id} is not a member of the replica set`)
    const url = URL.parse(text)
    if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
      return fail(`${id}: ${JSON.stringify(text)} is not an http or https url`)
    }
    if (url.username !== "" || url.password !== "") return fail(`${id}: a url may not contain a user or a password`)
    if (url.search !== "" || url.hash !== "") return fail(`${id}: a url may not contain a query or a fragment`)
    const address = url.origin + url.pathname.replace(/\/+$/, "")
    const other = byUrl.get(address)
    if (other !== undefined) return fail(`${other} and ${id} have the same url, ${address}`)
    byUrl.set(address, id)
    byId.set(id, address + PeerMessage.path)
  }
  const urls = new Map<ReplicaId.ReplicaId, string>()
  for (const peer of members.peers) {
    const url = byId.get(peer)
    if (url === undefined) return fail(`${peer} has no url`)
    urls.set(peer, url)
  }
  return Result.succeed(urls)
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
  const urls = yield* Effect.fromResult(peerUrls(members, options.peers))
  const client = yield* HttpClient.HttpClient
  const fetch = yield* FetchHttpClient.Fetch
  const serialization = yield* Layer.build(PeerMessage.layerSerialization(options.limits))
  const maxBytes = PeerMessage.maxBytes(options.limits)
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
      const protocol = yield* Effect.provideContext(RpcClient.makeProtocolHttp(clientOf(url)), serialization)
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
): Layer.Layer<PeerTransport.PeerTransport, InvalidPeerUrls, HttpClient.HttpClient | ReplicaSet.ReplicaSet> =>
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
