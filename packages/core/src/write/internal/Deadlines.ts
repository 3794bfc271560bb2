/**
 * One timer for the deadlines of many who wait: it sleeps until the earliest.
 */
import { Effect, FiberHandle } from "effect"

/**
 * Calls `expire` once a deadline that it was told of has passed; that returns the earliest of those that are left, and
 * `Infinity` when none is. Milliseconds of a monotonic clock, which `monotonicMillis` reads.
 */
export const make = Effect.fnUntraced(function* (monotonicMillis: () => number, expire: (at: number) => number) {
  const run = yield* FiberHandle.makeRuntime<never>()
  let timerAt = Number.POSITIVE_INFINITY
  const look = (): void => {
    timerAt = Number.POSITIVE_INFINITY
    arm(expire(monotonicMillis()))
  }
  /** There is a deadline. */
  const arm = (deadline: number): void => {
    if (deadline >= timerAt) return
    timerAt = deadline
    // A deadline is inclusive, so it has passed one millisecond later.
    run(Effect.andThen(Effect.sleep(Math.max(0, deadline - monotonicMillis()) + 1), Effect.sync(look)))
  }
  return { arm, look }
})
