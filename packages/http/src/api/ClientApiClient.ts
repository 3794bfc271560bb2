/**
 * A typed client of the client API, made from its schemas. Its errors are core's, as if the replica were local.
 */
import { ClientSession } from "@quorum/core"
import { Context, Effect, Layer, Option, Ref } from "effect"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { ClientApi } from "./ClientApi.ts"
import * as Sessions from "./sessions.ts"

/** The client's methods: `records.put`, `records.get`, `writes.resume`, `status`, … */
export interface Methods extends HttpApiClient.ForApi<typeof ClientApi> {}

/** A typed client of one replica. */
export class ClientApiClient extends Context.Service<ClientApiClient, Methods>()("@quorum/http/ClientApiClient") {}

/** How a client is made. */
export interface Options {
  readonly url: string
  /**
   * What one client does and sees, at whatever replicas: shared by the clients of several replicas, it keeps them in order.
   * Requests say it, and it grows with every answer. Without one, a request says what it is given as `Quorum-Session`.
   */
  readonly session?: Ref.Ref<ClientSession.ClientSession>
}

/** A session of a client that has done and seen nothing. */
export const session: Effect.Effect<Ref.Ref<ClientSession.ClientSession>> = Ref.make(ClientSession.empty)

/**
 * Makes a client of the replica at `url`. It retries nothing: what may be retried depends on the error, and a write
 * that was answered with `QuorumNotMet` is resumed, never written again. The answer of a batch says its session in its
 * lines, and whoever reads them joins it.
 */
export const make = ({ session, url }: Options): Effect.Effect<Methods, never, HttpClient.HttpClient> =>
  HttpApiClient.make(ClientApi, {
    baseUrl: url,
    ...(session === undefined ? {} : { transformClient: inSession(session) })
  })

/** {@link make} as a layer. */
export const layer = (options: Options): Layer.Layer<ClientApiClient, never, HttpClient.HttpClient> =>
  Layer.effect(ClientApiClient, make(options))

// ---------------------------------------------------------------------------------------------------------------------

const inSession = (session: Ref.Ref<ClientSession.ClientSession>) => {
  const asked = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.map(Ref.get(session), (known) =>
      HttpClientRequest.setHeader(request, Sessions.header, ClientSession.encode(known))
    )
  const answered = ({ headers }: HttpClientResponse.HttpClientResponse) =>
    Option.match(ClientSession.decode(headers[Sessions.header]), {
      onNone: () => Effect.void,
      onSome: (saw) => Ref.update(session, (known) => ClientSession.join(known, saw))
    })
  return (client: HttpClient.HttpClient): HttpClient.HttpClient =>
    client.pipe(HttpClient.mapRequestEffect(asked), HttpClient.tap(answered))
}
