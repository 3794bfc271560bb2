/** Effect's key-value store and persistence on a replica set. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Schema } from "effect"
import { KeyValueStore, Persistable, Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "../src/adapter.ts"
import { KeyValueRecords } from "../src/persistence.ts"
import { Entry, QuorumWriter, Replica, ReplicaSet } from "../src/index.ts"

const replica = Replica.layer().pipe(
  MemoryNetwork.serve,
  Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
  Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
  Layer.provide(MemoryNetwork.layer),
  Layer.provide(Logger.layer([]))
)

const store = KeyValueRecords.layer("kv").pipe(Layer.provideMerge(replica))

class User extends Schema.Class<User>("User")({ name: Schema.String, age: Schema.Int }) {}

class Asked extends Persistable.Class<{ payload: { readonly id: number } }>()("Asked", {
  primaryKey: ({ id }) => String(id),
  success: User,
  error: Schema.String
}) {}

describe("a key-value store on records", () => {
  it.effect("refuses text that no bytes can hold, and changes nothing", () =>
    Effect.gen(function* () {
      const kv = yield* KeyValueStore.KeyValueStore
      yield* kv.set("k", "first")
      const refused = yield* Effect.flip(kv.set("k", "half of a pair: \ud83d"))
      assert.deepInclude(refused.cause, { _tag: "WriteRejected", field: "value" })
      assert.strictEqual(yield* kv.get("k"), "first")
    }).pipe(Effect.provide(store))
  )

  it.effect("sets, gets, replaces and removes, text and bytes, whatever the key", () =>
    Effect.gen(function* () {
      const kv = yield* KeyValueStore.KeyValueStore
      for (const key of ["/foo/bar", "é 100%", "a:b"]) {
        assert.isUndefined(yield* kv.get(key))
        yield* kv.set(key, "first")
        yield* kv.set(key, "grüß")
        assert.strictEqual(yield* kv.get(key), "grüß")
        assert.isTrue(yield* kv.has(key))
        yield* kv.set(key, new Uint8Array([0, 255]))
        assert.deepStrictEqual(yield* kv.getUint8Array(key), new Uint8Array([0, 255]))
        assert.strictEqual(yield* kv.get(key), "AP8=")
        yield* kv.set(key, "AP8=")
        assert.deepStrictEqual(yield* kv.getUint8Array(key), new TextEncoder().encode("AP8="))
        yield* kv.remove(key)
        yield* kv.remove(key)
        assert.isFalse(yield* kv.has(key))
        assert.isUndefined(yield* kv.getUint8Array(key))
      }
    }).pipe(Effect.provide(store))
  )

  it.effect(
    "counts, lists and clears what is there, all of it or what begins so, and nothing of other namespaces",
    () =>
      Effect.gen(function* () {
        const kv = yield* KeyValueStore.KeyValueStore
        const writer = yield* QuorumWriter.QuorumWriter
        yield* writer.commit(Entry.put("other", "k", "v"))
        assert.isTrue(yield* kv.isEmpty)
        const names = Array.from({ length: 2100 }, (_, i) => `${i % 2 === 0 ? "even" : "odd"}:${i}`)
        yield* Effect.forEach(names, (key) => kv.set(key, key), { concurrency: "unbounded" })
        assert.strictEqual(yield* kv.size, names.length)
        assert.deepStrictEqual(Array.from(yield* kv.keys).sort(), names.toSorted())
        yield* kv.clearPrefix("odd:")
        assert.deepStrictEqual(
          Array.from(yield* kv.keys).sort(),
          names.filter((name) => name.startsWith("even:")).sort()
        )
        yield* kv.clear
        assert.isTrue(yield* kv.isEmpty)
        const others = KeyValueRecords.make("other")
        assert.strictEqual(yield* (yield* others).size, 1)
      }).pipe(Effect.provide(store))
  )

  it.effect("modifies what is there, and nothing where nothing is", () =>
    Effect.gen(function* () {
      const kv = yield* KeyValueStore.KeyValueStore
      assert.isUndefined(yield* kv.modify("n", (text) => `${text}!`))
      assert.isUndefined(yield* kv.get("n"))
      yield* kv.set("n", "1")
      assert.strictEqual(yield* kv.modify("n", (text) => `${text}!`), "1!")
      assert.strictEqual(yield* kv.get("n"), "1!")
    }).pipe(Effect.provide(store))
  )

  it.effect("keeps values of a schema, and prefixes", () =>
    Effect.gen(function* () {
      const kv = yield* KeyValueStore.KeyValueStore
      const users = KeyValueStore.toSchemaStore(KeyValueStore.prefix(kv, "users/"), User)
      yield* users.set("ann", new User({ name: "Ann", age: 7 }))
      assert.deepStrictEqual(Array.from(yield* kv.keys), ["users/ann"])
      assert.instanceOf(
        (yield* users.get("ann")).pipe((found) => (found._tag === "Some" ? found.value : found)),
        User
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("fails with the typed error of the write, and names the method and the key", () =>
    Effect.gen(function* () {
      const kv = yield* KeyValueStore.KeyValueStore
      const error = yield* Effect.flip(kv.set("k".repeat(2000), "v"))
      assert.deepInclude(error, { method: "set", key: "k".repeat(2000) })
      assert.strictEqual((error.cause as { readonly _tag: string })._tag, "WriteRejected")
    }).pipe(Effect.provide(store))
  )
})

describe("persistence on it", () => {
  it.effect("remembers results and failures until they expire, and clears those of a store", () =>
    Effect.gen(function* () {
      const persistence = yield* Persistence.Persistence
      const results = yield* persistence.make({ storeId: "results", timeToLive: () => 5000 })
      const others = yield* persistence.make({ storeId: "others" })
      const [one, two] = [new Asked({ id: 1 }), new Asked({ id: 2 })]
      assert.isUndefined(yield* results.get(one))
      yield* results.set(one, Exit.succeed(new User({ name: "Ann", age: 7 })))
      yield* results.set(two, Exit.fail("no such user"))
      yield* others.set(one, Exit.fail("another"))
      assert.deepStrictEqual(yield* results.getMany([one, two]), [
        Exit.succeed(new User({ name: "Ann", age: 7 })),
        Exit.fail("no such user")
      ])
      yield* TestClock.adjust(5001)
      assert.isUndefined(yield* results.get(one))
      yield* results.set(two, Exit.fail("again"))
      yield* results.clear
      assert.isUndefined(yield* results.get(two))
      assert.deepStrictEqual(yield* others.get(one), Exit.fail("another"))
      yield* others.remove(one)
      assert.isUndefined(yield* others.get(one))
    }).pipe(Effect.scoped, Effect.provide(Persistence.layerKvs.pipe(Layer.provide(store))))
  )
})
