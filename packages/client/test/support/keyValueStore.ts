/**
 * What Effect asks of every `KeyValueStore` and every `Persistence`: the cases of its own suites, which it does not publish.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Option, Schema } from "effect"
import { KeyValueStore, Persistable, PersistedCache, Persistence } from "effect/persistence"

/** Provides what a case is about; whatever it fails with fails the case. */
export type Provide<Service> = <A, E>(effect: Effect.Effect<A, E, Service>) => Effect.Effect<A, unknown>

class User extends Schema.Class<User>("User")({ id: Schema.Int, name: Schema.String }) {}

class FindUser extends Persistable.Class<{ payload: { readonly id: number } }>()("FindUser", {
  primaryKey: ({ id }) => `FindUser:${id}`,
  success: User,
  error: Schema.String
}) {}

const utf8 = new TextEncoder()

/** The cases of key-value stores. Each begins with an empty store. */
export const keyValueStoreSuite = (provide: Provide<KeyValueStore.KeyValueStore>): void => {
  const holds = (title: string, body: (kv: KeyValueStore.KeyValueStore) => Effect.Effect<void, unknown>) =>
    it.live(title, () =>
      provide(Effect.flatMap(KeyValueStore.KeyValueStore, (kv) => Effect.andThen(kv.clear, body(kv))))
    )

  holds("sets, replaces, gets and counts", (kv) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* kv.get("/foo/bar"), undefined)
      yield* kv.set("/foo/bar", "bar")
      assert.deepStrictEqual([yield* kv.get("/foo/bar"), yield* kv.size], ["bar", 1])
      yield* kv.set("/foo/bar", "baz")
      assert.deepStrictEqual([yield* kv.get("/foo/bar"), yield* kv.size], ["baz", 1])
      assert.isTrue(yield* kv.has("/foo/bar"))
      assert.isFalse(yield* kv.isEmpty)
    })
  )

  holds("keeps bytes, which read as text are base64, and text as it is when it looks like that", (kv) =>
    Effect.gen(function* () {
      const bytes = new Uint8Array([0, 42, 255, 128])
      yield* kv.set("binary", bytes)
      assert.strictEqual(yield* kv.get("binary"), "ACr/gA==")
      assert.deepStrictEqual(yield* kv.getUint8Array("binary"), bytes)
      yield* kv.set("text", "Zm9v")
      assert.strictEqual(yield* kv.get("text"), "Zm9v")
      assert.deepStrictEqual(yield* kv.getUint8Array("text"), utf8.encode("Zm9v"))
    })
  )

  holds("removes, and clears all or what begins so", (kv) =>
    Effect.gen(function* () {
      yield* Effect.forEach(["a", "p/1", "p/2", "q"], (key) => kv.set(key, key), { concurrency: "unbounded" })
      yield* kv.remove("a")
      yield* kv.remove("a")
      assert.strictEqual(yield* kv.get("a"), undefined)
      yield* kv.clearPrefix("p/")
      assert.deepStrictEqual(Array.from(yield* kv.keys), ["q"])
      yield* kv.clear
      assert.deepStrictEqual([yield* kv.size, yield* kv.get("q"), yield* kv.isEmpty], [0, undefined, true])
    })
  )

  holds("modifies what is there, text and bytes, and nothing where nothing is", (kv) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* kv.modify("foo", (text) => `${text}bar`), undefined)
      assert.strictEqual(yield* kv.size, 0)
      yield* kv.set("foo", "bar")
      assert.strictEqual(yield* kv.modify("foo", (text) => `${text}bar`), "barbar")
      assert.deepStrictEqual([yield* kv.get("foo"), yield* kv.size], ["barbar", 1])
      yield* kv.set("bytes", new Uint8Array([1]))
      yield* kv.modifyUint8Array("bytes", (bytes) => new Uint8Array([...bytes, 2]))
      assert.deepStrictEqual(yield* kv.getUint8Array("bytes"), new Uint8Array([1, 2]))
    })
  )

  holds("carries prefixes, and values of a schema", (kv) =>
    Effect.gen(function* () {
      const prefixed = KeyValueStore.prefix(kv, "prefix/")
      const users = KeyValueStore.toSchemaStore(prefixed, User)
      yield* users.set("ann", new User({ id: 1, name: "Ann" }))
      yield* users.modify("ann", (user) => new User({ ...user, id: 2 }))
      assert.deepStrictEqual(yield* users.get("ann"), Option.some(new User({ id: 2, name: "Ann" })))
      assert.isTrue(yield* kv.has("prefix/ann"))
      assert.deepStrictEqual(Array.from(yield* prefixed.keys), ["ann"])
    })
  )
}

/** The cases of persistence. `name` is part of what it keeps, so that it may run again. */
export const persistenceSuite = (name: string, provide: Provide<Persistence.Persistence>): void => {
  it.live("asks once for what a cache remembers, also after it is made anew", () =>
    provide(
      Effect.gen(function* () {
        const store = yield* (yield* Persistence.Persistence).make({ storeId: `${name}-users` })
        let asked = 0
        const makeCache = PersistedCache.make(
          (request: FindUser) => Effect.sync(() => new User({ id: request.id, name: `asked ${++asked}` })),
          { storeId: `${name}-users`, timeToLive: () => 60_000 }
        )
        const user = new User({ id: 1, name: "asked 1" })
        const cache = yield* makeCache
        assert.deepStrictEqual(yield* cache.get(new FindUser({ id: 1 })), user)
        assert.deepStrictEqual(yield* store.get(new FindUser({ id: 1 })), Exit.succeed(user))
        assert.deepStrictEqual(yield* cache.get(new FindUser({ id: 1 })), user)
        assert.deepStrictEqual(yield* (yield* makeCache).get(new FindUser({ id: 1 })), user)
        assert.strictEqual(asked, 1)
      }).pipe(Effect.scoped)
    )
  )

  it.live("keeps successes and failures, many at once, and forgets what is removed, cleared or over", () =>
    provide(
      Effect.gen(function* () {
        const persistence = yield* Persistence.Persistence
        const store = yield* persistence.make({ storeId: `${name}-results` })
        const [one, two, none] = [new FindUser({ id: 1 }), new FindUser({ id: 2 }), new FindUser({ id: 3 })]
        const jane = Exit.succeed(new User({ id: 2, name: "Jane" }))
        yield* store.setMany([
          [one, Exit.fail("not found")],
          [two, jane]
        ])
        assert.deepStrictEqual(yield* store.getMany([one, two, none]), [Exit.fail("not found"), jane, undefined])
        yield* store.remove(one)
        assert.deepStrictEqual(yield* store.getMany([one, two]), [undefined, jane])
        yield* store.clear
        assert.strictEqual(yield* store.get(two), undefined)
        const brief = yield* persistence.make({ storeId: `${name}-brief`, timeToLive: () => 1 })
        yield* brief.set(one, Exit.fail("soon over"))
        yield* Effect.sleep(5)
        assert.strictEqual(yield* brief.get(one), undefined)
      }).pipe(Effect.scoped)
    )
  )
}
