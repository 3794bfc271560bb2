import { ClientApiClient } from "../../src/index.ts"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"

/** Writes through one replica and reads it back. The errors are core's: `QuorumNotMet` says how to go on. */
export const program = (url = "http://127.0.0.1:8001") =>
  Effect.gen(function* () {
    const client = yield* ClientApiClient.ClientApiClient
    const params = { namespace: "notes", key: "greeting" }
    const receipt = yield* client.records.put({
      params,
      query: {},
      headers: {},
      payload: new TextEncoder().encode("hello")
    })
    const record = yield* client.records.get({ params, query: { atLeast: receipt.writeId }, headers: {} })
    return new TextDecoder().decode(record.body)
  }).pipe(Effect.provide(ClientApiClient.layer({ url }).pipe(Layer.provide(FetchHttpClient.layer))))
