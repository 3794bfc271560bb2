import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { program } from "./readme/example.ts"

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

describe("README", () => {
  it("shows the example that is tested here", () => {
    const shown = /```ts\n(.*?)```/s.exec(read("../README.md"))?.[1]
    assert.strictEqual(
      shown,
      read("./readme/example.ts")
        .replaceAll("../../src/index.ts", "@quorum/core")
        .replaceAll("../../src/adapter.ts", "@quorum/core/adapter")
    )
  })

  it.effect("the example commits a write on two of three replicas", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(program)
      yield* TestClock.adjust(1000)
      const receipt = yield* Fiber.join(fiber)
      assert.strictEqual(receipt.w, 2)
      assert.isAtLeast(receipt.acked.length, 2)
    })
  )
})
