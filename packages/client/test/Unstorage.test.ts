/**
 * The driver in unstorage itself. See `suites/package.json` for how that is installed.
 *
 * unstorage does not publish the tests that its own drivers pass. These cases are ours: they ask what its
 * `test/drivers/utils.ts` asks, and some more.
 */
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import { unstorageDriver } from "../src/unstorage.ts"
import { type Deployment, ways } from "./support/deployments.ts"
import { isMissing, load } from "./support/installed.ts"

type Storage = Readonly<Record<string, (...args: ReadonlyArray<unknown>) => Promise<unknown>>>

const { createStorage, restoreSnapshot, snapshot } = (await load("unstorage/dist/index.mjs")) as {
  readonly createStorage: (options: { readonly driver: unknown }) => Storage
  readonly snapshot: (storage: Storage, base: string) => Promise<unknown>
  readonly restoreSnapshot: (storage: Storage, snapshot: object, base?: string) => Promise<void>
}

describe.skipIf(isMissing).each(ways)(
  "a driver for unstorage on $name (skipped where that is not installed)",
  (way) => {
    let deployment: Deployment
    let storage: Storage

    const call = async (name: string, ...args: ReadonlyArray<unknown>): Promise<unknown> => storage[name]!(...args)

    const keys = async (...args: ReadonlyArray<unknown>) => ((await call("getKeys", ...args)) as Array<string>).sort()

    beforeAll(async () => {
      deployment = await way.start()
      storage = createStorage({ driver: unstorageDriver(deployment.client, "storage") })
    })
    beforeEach(() => call("clear"))
    afterAll(async () => {
      await call("dispose")
      await deployment[Symbol.asyncDispose]()
    })

    describe.each(Array.from({ length: 2 * way.times }, (_, i) => i + 1))("time %i", () => {
      it("has nothing at first, and nothing once it is cleared, also twice", async () => {
        assert.deepStrictEqual(
          [await call("hasItem", "s:a"), await call("getItem", "s:a"), await keys()],
          [false, null, []]
        )
        await call("setItem", "s:a", "v")
        await call("clear")
        await call("clear")
        assert.deepStrictEqual([await call("hasItem", "s:a"), await keys()], [false, []])
      })

      it("is filled from a snapshot, whole or below a base, and is one again", async () => {
        const items = { first: "works", "deep:er": { json: [1] }, zero: 0 }
        await restoreSnapshot(storage, items)
        assert.strictEqual(await call("getItem", "first"), "works")
        assert.deepStrictEqual(await snapshot(storage, ""), items)
        await restoreSnapshot(storage, items, "copy")
        assert.deepStrictEqual(await snapshot(storage, "copy"), items)
        assert.deepStrictEqual(await keys("copy"), ["copy:deep:er", "copy:first", "copy:zero"])
      })

      it("removes what is there, and what is not", async () => {
        await call("setItem", "s:a", "v")
        for (const key of ["s:a", "s:a", "s:never"]) {
          await call("removeItem", key)
          assert.deepStrictEqual([await call("hasItem", key), await call("getItem", key)], [false, null])
        }
      })

      it("keeps text, and ignores what follows a question mark in a key", async () => {
        await call("setItem", "s1:a", "text")
        await call("setItem", "s3:a?q=1", "text")
        assert.deepStrictEqual([await call("hasItem", "s1:a"), await call("getItem", "s1:a")], [true, "text"])
        assert.strictEqual(await call("getItem", "s3:a?q=2"), "text")
        await call("removeItem", "s1:a")
        assert.deepStrictEqual([await call("hasItem", "s1:a"), await call("getItem", "s1:a")], [false, null])
      })

      it("lists keys, below a base, and to a depth", async () => {
        for (const key of ["top", "a:b:c1", "a:b:c2", "a:b1", "s1:x?q=1"]) await call("setItem", key, "v")
        const all = ["a:b1", "a:b:c1", "a:b:c2", "s1:x", "top"]
        assert.deepStrictEqual(await keys(), all)
        assert.deepStrictEqual(await keys("a"), ["a:b1", "a:b:c1", "a:b:c2"])
        assert.deepStrictEqual(await keys("s1"), ["s1:x"])
        // As deep as colons are counted, from the top, below a base too.
        for (const [base, maxDepth, expected] of [
          [undefined, 0, ["top"]],
          [undefined, 1, ["a:b1", "s1:x", "top"]],
          [undefined, 2, all],
          [undefined, 3, all],
          ["a", 1, ["a:b1"]],
          ["a:b", 2, ["a:b:c1", "a:b:c2"]],
          ["a:b", 1, []]
        ] as const) {
          assert.deepStrictEqual(await keys(base, { maxDepth }), expected, `${base} ${maxDepth}`)
        }
      })

      it("keeps objects, primitives, falsy ones too, and what says how it is serialized", async () => {
        const said = { toJSON: () => ({ said: "so" }) }
        for (const [value, expected] of [
          [{ json: "works" }, { json: "works" }],
          [true, true],
          [0, 0],
          [false, false],
          [said, { said: "so" }],
          [{ toJSON: () => "SAID" }, "SAID"],
          ["", ""]
        ]) {
          await call("setItem", "/data/v.json", value)
          assert.deepStrictEqual(await call("getItem", "/data/v.json"), expected)
        }
        class Unknown {}
        const refused = await call("setItem", "bad", new Unknown()).then(
          () => "",
          ({ message }: Error) => message
        )
        assert.include(refused, "Cannot stringify value")
      })

      it("keeps bytes as they are, and says how many", async () => {
        const value = new Uint8Array([0, 1, 2, 255])
        await call("setItemRaw", "raw.bin", value)
        assert.deepStrictEqual(await call("getItemRaw", "raw.bin"), value)
        assert.deepInclude((await call("getMeta", "raw.bin")) as object, { size: 4 })
        assert.isNull(await call("getItemRaw", "none.bin"))
      })

      it("sets and gets many at once, in their order", async () => {
        await call(
          "setItems",
          ["1", "2", "3"].map((key) => ({ key: `t:${key}`, value: `v${key}` }))
        )
        for (const key of ["1", "2", "3"]) assert.strictEqual(await call("getItem", `t:${key}`), `v${key}`)
        await call("setItem", "t:4?q=1", { json: 4 })
        // A key comes back without what follows its question mark.
        assert.deepStrictEqual(await call("getItems", ["t:3", { key: "t:1" }, { key: "t:4?q=2" }, "t:none"]), [
          { key: "t:3", value: "v3" },
          { key: "t:1", value: "v1" },
          { key: "t:4", value: { json: 4 } },
          { key: "t:none", value: null }
        ])
        assert.deepStrictEqual(await call("getItems", []), [])
      })
    })

    it.skipIf(way.times === 1)("was asked while replicas were killed", () => {
      assert.isAtLeast(deployment.kills(), 2)
    })
  }
)
