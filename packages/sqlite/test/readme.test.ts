import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { readFileSync } from "node:fs"
import { read, write } from "./readme/example.ts"
import { tempFolder } from "./support/store.ts"

const textOf = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

describe("README", () => {
  it("shows the example that is tested here", () => {
    const shown = /```ts\n(.*?)```/s.exec(textOf("../README.md"))?.[1]
    assert.strictEqual(shown, textOf("./readme/example.ts").replace("../../src/index.ts", "@quorum/sqlite"))
  })

  it.live("the example finds in its second run what the first committed", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const receipt = yield* write(folder)
      assert.deepStrictEqual<ReadonlyArray<string>>(receipt.acked, ["a"])
      const record = Option.getOrThrow(yield* read(folder))
      assert.strictEqual(new TextDecoder().decode(record.value), "hello")
      assert.strictEqual(record.writeId, receipt.writeId)
    })
  )
})
