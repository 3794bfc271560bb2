/** The examples of the README, on three replicas. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Schema } from "effect"
import { KeyValueStore, Persistable, Persistence } from "effect/persistence"
import { createClient } from "../src/index.ts"
import { stores } from "./readme/adapters.ts"
import { program as programOfEffect, services } from "./readme/effect.ts"
import { onAll, program } from "./readme/example.ts"
import * as Replicas from "./support/replicas.ts"

class Asked extends Persistable.Class<{ payload: { readonly id: number } }>()("Asked", {
  primaryKey: ({ id }) => String(id),
  success: Schema.String
}) {}

describe("README", () => {
  let replicas: Replicas.Replicas
  beforeAll(async () => {
    replicas = await Replicas.start()
  })
  afterAll(() => replicas[Symbol.asyncDispose]())

  it("the example writes several records, lists some and reads one back", async () => {
    assert.strictEqual(await program([...replicas.urls]), "hello")
    const client = createClient({ urls: replicas.urls })
    assert.deepStrictEqual((await client.get("accounts", "bob"))?.json(), { balance: 130 })
  })

  it("the write that asks for all replicas has its receipt when all hold it", async () => {
    const client = createClient({ urls: replicas.urls })
    const { acked } = await client.resume(await onAll(client), { w: 3 })
    assert.deepStrictEqual(acked.map(({ replica }) => replica).sort(), ["a", "b", "c"])
  })

  it("the stores of Keyv and unstorage keep what they are given, each in its namespace", async () => {
    const { driver, store } = stores([...replicas.urls])
    await store.set("k", "of the cache")
    await driver.setItem?.("k", "of the configuration")
    assert.deepStrictEqual([await store.get("k"), await driver.getItem("k")], ["of the cache", "of the configuration"])
  })

  it.live("the program of Effect writes and reads back, and its stores keep what they are given", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* programOfEffect, Option.some("hello"))
      yield* Effect.flatMap(KeyValueStore.KeyValueStore, (store) => store.set("k", "v"))
      assert.strictEqual(yield* Effect.flatMap(KeyValueStore.KeyValueStore, (store) => store.get("k")), "v")
      const persistence = yield* Persistence.Persistence
      const answers = yield* persistence.make({ storeId: "answers" })
      yield* answers.set(new Asked({ id: 1 }), Exit.succeed("yes"))
      assert.deepStrictEqual(yield* answers.get(new Asked({ id: 1 })), Exit.succeed("yes"))
    }).pipe(Effect.provide(services([...replicas.urls])), Effect.scoped)
  )
})
