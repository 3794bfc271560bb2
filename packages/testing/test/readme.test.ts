import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { readFileSync } from "node:fs"
import { program } from "./readme/faults.ts"

const textOf = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

// The examples "store" and "transport" run in the test files of the suites.
describe("README", () => {
  const shown = Array.from(textOf("../README.md").matchAll(/```ts\n(.*?)```/gs), ([, code]) => code)

  for (const [i, name] of ["store", "transport", "faults"].entries()) {
    it(`shows the example "${name}" that is tested here`, () => {
      assert.strictEqual(shown[i], textOf(`./readme/${name}.ts`).replace("../../src/index.ts", "@quorum/testing"))
    })
  }

  it("shows no other code", () => assert.strictEqual(shown.length, 3))

  it.live("the writes of the example are committed, and the faults did happen", () =>
    Effect.gen(function* () {
      const { delayed, duplicated, receipts } = yield* program
      assert.strictEqual(receipts.length, 100)
      assert.isAbove(duplicated, 0)
      assert.isAbove(delayed, 0)
    }).pipe(Effect.provide(Logger.layer([])))
  )
})
