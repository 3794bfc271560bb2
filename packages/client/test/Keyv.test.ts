/** Keyv's own tests of stores. See `suites/package.json` for how they are installed. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as vitest from "vitest"
import { createClient } from "../src/index.ts"
import { keyvStore } from "../src/keyv.ts"
import { type Deployment, ways } from "./support/deployments.ts"
import { isMissing, load } from "./support/installed.ts"

type Suite = (test: typeof vitest, Keyv: unknown, store: () => unknown) => void

const { default: suite, keyvIteratorTests } = (await load("@keyv/test-suite/dist/index.js")) as {
  readonly default?: Suite
  readonly keyvIteratorTests?: Suite
}
const { default: Keyv } = await load("keyv/dist/index.js")

describe.each(ways)("a store for keyv on $name", ({ start, times }) => {
  let deployment: Deployment
  beforeAll(async () => {
    deployment = await start()
  })
  afterAll(() => deployment[Symbol.asyncDispose]())

  for (let time = 1; time <= times; time++) {
    describe.skipIf(isMissing)(`by its own tests, ${time} of ${times} (skipped where they are not installed)`, () => {
      // The tests of a suite share what they write, and each clears it before the next.
      suite?.(vitest, Keyv, () => keyvStore(deployment.client, "keyv"))
      keyvIteratorTests?.(vitest, Keyv, () => keyvStore(deployment.client, "keyv"))
    })
  }

  it("keeps text, bytes and json as they are, and lists what begins with a namespace", async () => {
    const store = keyvStore(deployment.client, "plain")
    await store.setMany([
      { key: "a:text", value: "1" },
      { key: "a:json", value: { a: [1] } },
      { key: "b:bytes", value: new Uint8Array([1, 2]) }
    ])
    assert.deepStrictEqual(await store.getMany(["a:text", "a:json", "b:bytes", "a:none"]), [
      "1",
      { a: [1] },
      new Uint8Array([1, 2]),
      undefined
    ])
    const found: Array<unknown> = []
    for await (const [key] of store.iterator("a")) found.push(key)
    assert.deepStrictEqual(found, ["a:json", "a:text"])
    store.namespace = "a"
    await store.clear()
    assert.deepStrictEqual(await store.hasMany(["a:text", "a:json", "b:bytes"]), [false, false, true])
    assert.deepStrictEqual([await store.delete("b:bytes"), await store.delete("b:bytes")], [true, false])
  })

  it.skipIf(isMissing || times === 1)("was asked while replicas were killed", () => {
    assert.isAtLeast(deployment.kills(), 2)
  })
})

describe("a store for keyv", () => {
  it("fails once when what it clears cannot be listed to its end, and leaves no other failure to nobody", async () => {
    const unheard: Array<unknown> = []
    const onUnheard = (error: unknown) => unheard.push(error)
    process.on("unhandledRejection", onUnheard)
    let pages = 0
    const client = createClient({
      urls: ["http://a"],
      fetch: async (url) => {
        const isFirst = url.includes("/v1/keys/") && pages++ === 0
        if (isFirst) return Response.json({ keys: [{ namespace: "n", key: "x" }], unreadable: [], next: "x" })
        // The rest of the list takes longer to be refused than a delete.
        if (url.includes("/v1/keys/")) await new Promise((resolve) => setImmediate(resolve))
        return Response.json({ error: "forbidden", message: "no" }, { status: 403 })
      }
    })
    const error = await keyvStore(client, "n")
      .clear()
      .catch((error: unknown) => error)
    assert.deepInclude(error, { code: "forbidden" })
    await new Promise((resolve) => setImmediate(resolve))
    process.off("unhandledRejection", onUnheard)
    assert.deepStrictEqual(unheard, [])
  })
})
