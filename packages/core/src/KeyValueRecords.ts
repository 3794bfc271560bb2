/**
 * Effect's `KeyValueStore` on the records of a namespace: what is written is durable on W replicas when `set` returns, and
 * every replica of the set has it.
 *
 * With `Persistence.layerKvs` of Effect on top it is a `Persistence` as well. Reads ask this replica, as far as it is, so
 * they see all that was written through it. Text is kept as text, with the type that other clients give it; what has no type
 * is bytes, of which `get` answers the base64, as Effect's own stores do. `size`, `keys` and `clear` walk through a list, which others may write to
 * meanwhile; `modify` is a read and then a write, and the later of two at once wins.
 */
import { Effect, Layer, Option, Stream } from "effect"
import { Base64 } from "effect/encoding"
import { KeyValueStore } from "effect/persistence"
import * as Entry from "./log/Entry.ts"
import * as Records from "./read/Records.ts"
import type { RecordKey } from "./record/RecordKey.ts"
import { QuorumWriter } from "./write/QuorumWriter.ts"

/** A store of the records of a namespace. Failures are `KeyValueStoreError`, with the typed error of the write or read as `cause`. */
export const make = Effect.fnUntraced(function* (namespace: string) {
  const records = yield* Records.Records
  const writer = yield* QuorumWriter

  const record = (method: string, key: string) =>
    Effect.mapBoth(records.read(namespace, key), { onSuccess: Option.getOrUndefined, onFailure: failed(method, key) })
  const remove = (method: string, key: string) =>
    Effect.asVoid(Effect.mapError(writer.commit(Entry.remove(namespace, key)), failed(method, key)))

  /** The keys that begin so, page after page. */
  const pages = (method: string, prefix: string) =>
    Stream.paginate(Option.none<RecordKey>(), (after) =>
      Effect.mapBoth(records.keys({ namespace, prefix, limit, ...Option.match(after, { onNone, onSome }) }), {
        onSuccess: ({ keys, next }) => [keys.map(({ key }) => key), Option.map(next, Option.some)] as const,
        onFailure: failed(method)
      })
    )
  const clearPrefix = (prefix: string) =>
    Stream.runForEachArray(pages("clear", prefix), (keys) =>
      Effect.forEach(keys, (key) => remove("clear", key), { concurrency: limit, discard: true })
    )

  return KeyValueStore.make({
    get: (key) => Effect.map(record("get", key), (found) => (found === undefined ? undefined : textOf(found))),
    getUint8Array: (key) => Effect.map(record("getUint8Array", key), (found) => found?.value),
    has: (key) => Effect.map(record("has", key), (found) => found !== undefined),
    set: (key, value) =>
      Effect.asVoid(
        Effect.mapError(writer.commit(Entry.put(namespace, key, value, typeOf(value))), failed("set", key))
      ),
    remove: (key) => remove("remove", key),
    clear: clearPrefix(""),
    clearPrefix,
    size: Effect.mapBoth(records.count({ namespace }), {
      onSuccess: ({ count }) => count,
      onFailure: failed("size")
    }),
    keys: Stream.runCollect(pages("keys", ""))
  })
})

/** {@link make} as a layer. */
export const layer = (namespace: string) => Layer.effect(KeyValueStore.KeyValueStore, make(namespace))

// ---------------------------------------------------------------------------------------------------------------------

/** How many keys are a page, and how many of them are deleted at once. */
const limit = 1000

/** A byte order mark is a part of a value like any other. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

const typeOf = (value: string | Uint8Array) =>
  typeof value === "string" ? { contentType: "text/plain; charset=utf-8" } : undefined

const textOf = ({ contentType, value }: Records.Record) =>
  contentType === undefined ? Base64.encode(value) : utf8.decode(value)

const onNone = () => ({})

const onSome = (after: RecordKey) => ({ after })

const failed = (method: string, key?: string) => (cause: { readonly message: string }) =>
  new KeyValueStore.KeyValueStoreError({ method, message: cause.message, cause, ...(key === undefined ? {} : { key }) })
