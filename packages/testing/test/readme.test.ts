import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { program } from "./readme/faults.ts"
import { queue } from "./readme/simulation.ts"

// The examples "store", "recordIndex" and "transport" run in the test files of the suites.
describe("README", () => {
  it.live("the writes of the example are committed, and the faults did happen", () =>
    Effect.gen(function* () {
      const { delayed, duplicated, receipts } = yield* program
      assert.strictEqual(receipts.length, 100)
      assert.isAbove(duplicated, 0)
      assert.isAbove(delayed, 0)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it("the simulation of the example finds that two workers take one job", () => {
    const found = Array.from({ length: 10 }, (_, seed) => queue(seed).violations).flat()
    assert.deepStrictEqual([...new Set(found.map(({ law }) => law))], ["EachJobOnce"])
  })
})
