/**
 * Effect's `KeyValueStore` on the records of a namespace, asked over the wire: what is written is durable on W replicas
 * when `set` returns, and it goes on when a replica is lost.
 *
 * With `Persistence.layerKvs` of Effect on top it is a `Persistence` as well. Text is kept as text; what has no type is
 * bytes, of which `get` answers the base64, as Effect's own stores do. `size`, `keys` and `clear` walk through a list,
 * which others may write to meanwhile; `modify` is a read and then a write, and the later of two at once wins.
 */
import { Effect, Layer, Option, Stream } from "effect"
import { KeyValueStore } from "effect/persistence"
import { type Failure, QuorumClient } from "./QuorumClient.ts"
import { base64Of } from "../Value.ts"

/** A store of the records of a namespace. Failures are `KeyValueStoreError`, with that of the client as `cause`. */
export const make = (namespace: string): Effect.Effect<KeyValueStore.KeyValueStore, never, QuorumClient> =>
  Effect.map(QuorumClient, (client) => {
    const record = (method: string, key: string) =>
      Effect.mapBoth(client.get(namespace, key), {
        onSuccess: Option.getOrUndefined,
        onFailure: failed(method, key)
      })
    const remove = (method: string, key: string) =>
      Effect.asVoid(Effect.mapError(client.delete(namespace, key), failed(method, key)))
    const keys = (method: string, prefix?: string) =>
      Stream.mapError(client.keys(namespace, { pageSize, ...(prefix === undefined ? {} : { prefix }) }), failed(method))
    const clearPrefix = (prefix?: string) =>
      Effect.flatMap(Stream.runCollect(keys("clear", prefix)), (all) =>
        Effect.forEach(all, (key) => remove("clear", key), { concurrency: pageSize, discard: true })
      )
    return KeyValueStore.make({
      get: (key) =>
        Effect.map(record("get", key), (found) =>
          found === undefined || found.contentType !== undefined ? found?.text() : base64Of(found.bytes)
        ),
      getUint8Array: (key) => Effect.map(record("getUint8Array", key), (found) => found?.bytes),
      has: (key) => Effect.map(record("has", key), (found) => found !== undefined),
      set: (key, value) => Effect.asVoid(Effect.mapError(client.put(namespace, key, value), failed("set", key))),
      remove: (key) => remove("remove", key),
      clear: clearPrefix(),
      clearPrefix,
      size: Stream.runCount(keys("size")),
      keys: Stream.runCollect(keys("keys"))
    })
  })

/** {@link make} as a layer. */
export const layer = (namespace: string): Layer.Layer<KeyValueStore.KeyValueStore, never, QuorumClient> =>
  Layer.effect(KeyValueStore.KeyValueStore, make(namespace))

// ---------------------------------------------------------------------------------------------------------------------

/** How many keys are fetched by a request, and how many of them are deleted at once. */
const pageSize = 1000

const failed = (method: string, key?: string) => (cause: Failure) =>
  new KeyValueStore.KeyValueStoreError({ method, message: cause.message, cause, ...(key === undefined ? {} : { key }) })
