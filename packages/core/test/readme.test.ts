import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { program } from "./readme/example.ts"

describe("README", () => {
  it.effect("the example commits a write on two of three replicas", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(program)
      yield* TestClock.adjust(1000)
      const receipt = yield* Fiber.join(fiber)
      assert.strictEqual(receipt.policy.w, 2)
      assert.isAtLeast(receipt.acked.length, 2)
    })
  )
})
