import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as ShiftedClock from "../src/ShiftedClock.ts"

const now = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  return {
    millis: [yield* clock.currentTimeMillis, clock.currentTimeMillisUnsafe()],
    nanos: [yield* clock.currentTimeNanos, clock.currentTimeNanosUnsafe()],
    passed: [yield* clock.monotonicTimeNanos, clock.monotonicTimeNanosUnsafe()]
  }
})

describe("ShiftedClock", () => {
  it.effect("is wrong by a fixed time of day, and measures rightly how long something takes", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(7_200_000)
      const right = yield* now
      const wrong = yield* ShiftedClock.provide(-3_600_000)(now)
      assert.deepStrictEqual(wrong.millis, [3_600_000, 3_600_000])
      assert.deepStrictEqual(wrong.nanos, [3_600_000_000_000n, 3_600_000_000_000n])
      assert.deepStrictEqual(wrong.passed, right.passed)
      yield* TestClock.adjust(5)
      assert.deepStrictEqual((yield* ShiftedClock.provide(-3_600_000)(now)).millis, [3_600_005, 3_600_005])
    })
  )
})
