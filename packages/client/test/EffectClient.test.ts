/** The client for programs of Effect, and Effect's own stores on it. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { type Context, Effect, Exit, Fiber, Layer, Option, Scope, Stream } from "effect"
import { type KeyValueStore, Persistence } from "effect/persistence"
import { ClientKeyValueStore, QuorumClient } from "../src/effect.ts"
import type { Receipt } from "../src/index.ts"
import { type Deployment, ways } from "./support/deployments.ts"
import { keyValueStoreSuite, persistenceSuite } from "./support/keyValueStore.ts"
import * as Replicas from "./support/replicas.ts"

describe.each(ways)("Effect's stores on $name", ({ start, times }) => {
  let deployment: Deployment
  /** One client, as one program has: what it wrote, it reads. */
  let services: Context.Context<KeyValueStore.KeyValueStore | Persistence.Persistence>
  const scope = Scope.makeUnsafe()
  beforeAll(async () => {
    deployment = await start()
    const stores = Persistence.layerKvs.pipe(
      Layer.provideMerge(ClientKeyValueStore.layer("kv")),
      Layer.provide(QuorumClient.layer(deployment.options))
    )
    services = await Effect.runPromise(Layer.buildWithScope(stores, scope))
  })
  afterAll(async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await deployment[Symbol.asyncDispose]()
  })

  const provide = <A, E>(effect: Effect.Effect<A, E, KeyValueStore.KeyValueStore | Persistence.Persistence>) =>
    Effect.suspend(() => Effect.provideContext(effect, services))

  for (let time = 1; time <= 2 * times; time++) {
    describe(`time ${time}`, () => {
      keyValueStoreSuite(provide)
      persistenceSuite(`time-${time}`, provide)
    })
  }

  it.skipIf(times === 1)("was asked while replicas were killed", () => {
    assert.isAtLeast(deployment.kills(), 2)
  })
})

describe("a client of Effect", () => {
  it.live("writes, reads, lists and follows, and says in its types what fails", () =>
    Effect.gen(function* () {
      const replicas = yield* Effect.acquireRelease(
        Effect.promise(() => Replicas.start()),
        (replicas) => Effect.promise(() => replicas[Symbol.asyncDispose]())
      )
      yield* Effect.gen(function* () {
        const client = yield* QuorumClient.QuorumClient
        const followed = yield* client.watch("n").pipe(Stream.take(3), Stream.runCollect, Effect.forkChild)
        const receipt = yield* client.put("n", "a", "1")
        yield* client.commit([
          { namespace: "n", key: "b", value: { json: [2] } },
          { namespace: "n", key: "c", value: new Uint8Array([3]) }
        ])
        assert.strictEqual(Option.getOrThrow(yield* client.get("n", "a")).text(), "1")
        assert.isTrue(Option.isNone(yield* client.get("n", "z")))
        assert.deepStrictEqual(Array.from(yield* Stream.runCollect(client.keys("n"))), ["a", "b", "c"])
        const listed = yield* Stream.runCollect(Stream.take(client.list("n", { pageSize: 1 }), 2))
        assert.deepStrictEqual(
          Array.from(listed, ({ key }) => key),
          ["a", "b"]
        )
        const changes = yield* Fiber.join(followed)
        assert.sameMembers(
          Array.from(changes, ({ key }) => key),
          ["a", "b", "c"]
        )
        assert.strictEqual((yield* client.verify(receipt)).writeId, receipt.writeId)
        assert.strictEqual((yield* client.resume(receipt.writeId, { w: 3 })).writeId, receipt.writeId)
        const [refused, made] = yield* client.batch([
          { namespace: "n", key: "k".repeat(5000), value: "v" },
          { namespace: "n", key: "d", delete: true }
        ])
        assert.strictEqual(made?.ok, true)
        assert.strictEqual(refused?.ok === false && refused.error._tag, "write_rejected")

        // A quorum that is not met has the tag of its code, and its fields.
        yield* Effect.promise(() => replicas.kill("a"))
        const got = yield* client.put("n", "a", "2", { w: 3, timeoutMillis: 6000 }).pipe(
          Effect.as("committed"),
          Effect.catchTag("quorum_not_met", ({ needed }) => Effect.succeed(`needs ${needed}`)),
          Effect.catchTag("quorum_unavailable", ({ needed }) => Effect.succeed(`needs ${needed}`))
        )
        assert.strictEqual(got, "needs 3")
      }).pipe(Effect.provide(QuorumClient.layer({ urls: replicas.urls })))
    }).pipe(Effect.scoped)
  )

  it.effect("fails with what is wrong with a call, whatever is called", () =>
    Effect.gen(function* () {
      const client = yield* QuorumClient.make({ urls: ["http://127.0.0.1:1"] })
      const bad = { timeoutMillis: -1 }
      const place = { namespace: "n", key: "k" }
      const receipt = { writeId: "a@0000000000000001:1.00000000" } as Receipt
      const calls: { readonly [Name in keyof QuorumClient.Methods]: Effect.Effect<unknown, QuorumClient.Failure> } = {
        put: client.put("n", "k", "v", bad),
        get: client.get("n", "k", bad),
        delete: client.delete("n", "k", bad),
        list: Stream.runDrain(client.list("n", bad)),
        keys: Stream.runDrain(client.keys("n", bad)),
        watch: Stream.runDrain(client.watch("n", bad)),
        batch: client.batch([{ ...place, value: "v" }], bad),
        commit: client.commit([{ ...place, value: "v" }], bad),
        stamp: client.stamp([place], bad),
        resume: client.resume("a@0000000000000001:1.00000000", bad),
        writeStatus: client.writeStatus("a@0000000000000001:1.00000000", bad),
        verify: client.verify(receipt, bad),
        status: client.status(bad)
      }
      for (const [name, call] of Object.entries(calls)) {
        assert.strictEqual((yield* Effect.flip(call))._tag, "invalid_request", name)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("says which option cannot be used, and stops what follows when it is interrupted", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(QuorumClient.make({ urls: [] })))
      assert.deepInclude(error, { _tag: "invalid_options", field: "urls" })
      let aborted = 0
      const hanging = (_: string, { signal }: RequestInit): Promise<Response> =>
        new Promise((_, reject) =>
          signal!.addEventListener("abort", () => {
            aborted++
            reject(signal!.reason)
          })
        )
      yield* Effect.gen(function* () {
        const client = yield* QuorumClient.make({ urls: ["http://127.0.0.1:1"], fetch: hanging })
        const asked = yield* Effect.forkChild(client.get("n", "k"), { startImmediately: true })
        const followed = yield* Effect.forkChild(Stream.runDrain(client.watch("n")), { startImmediately: true })
        yield* Effect.yieldNow
        yield* Fiber.interrupt(asked)
        yield* Fiber.interrupt(followed)
        // Before the client is closed, which would abort them as well.
        assert.strictEqual(aborted, 2)
      }).pipe(Effect.scoped)
    })
  )
})
