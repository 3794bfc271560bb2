/**
 * A typed client of the client API, made from its schemas. Its errors are core's, as if the replica were local.
 */
import { Context, type Effect, Layer } from "effect"
import { type HttpClient } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { ClientApi } from "./ClientApi.ts"

/** The client's methods: `records.put`, `records.get`, `writes.resume`, `status`, … */
export interface Methods extends HttpApiClient.ForApi<typeof ClientApi> {}

/** A typed client of one replica. */
export class ClientApiClient extends Context.Service<ClientApiClient, Methods>()("@quorum/http/ClientApiClient") {}

/**
 * Makes a client of the replica at `url`. It retries nothing: what may be retried depends on the error, and a write
 * that was answered with `QuorumNotMet` is resumed, never written again.
 */
export const make = (options: { readonly url: string }): Effect.Effect<Methods, never, HttpClient.HttpClient> =>
  HttpApiClient.make(ClientApi, { baseUrl: options.url })

/** {@link make} as a layer. */
export const layer = (options: { readonly url: string }): Layer.Layer<ClientApiClient, never, HttpClient.HttpClient> =>
  Layer.effect(ClientApiClient, make(options))
