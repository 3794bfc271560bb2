import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { read, write } from "./readme/example.ts"
import { tempFolder } from "./support/store.ts"

describe("README", () => {
  it.live("the example finds in its second run what the first committed", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const receipt = yield* write(folder)
      assert.deepStrictEqual<ReadonlyArray<string>>(
        receipt.acked.map(({ replica }) => replica),
        ["a"]
      )
      const record = Option.getOrThrow(yield* read(folder))
      assert.strictEqual(new TextDecoder().decode(record.value), "hello")
      assert.strictEqual(record.writeId, receipt.writeId)
    })
  )
})
