/** Virtual time in tests. */
import { Effect, Result } from "effect"
import { TestClock } from "effect/testing"

/** Lets virtual time pass in steps: what needs many turns and hardly any time gets them. */
export const pass = (millis: number) =>
  Effect.gen(function* () {
    const step = Math.max(1, Math.floor(millis / 20))
    let left = millis
    for (; left > step; left -= step) yield* TestClock.adjust(step)
    yield* TestClock.adjust(left)
  })

/** Runs an effect while virtual time passes; it has to be done then. */
export const during = <A, E>(effect: Effect.Effect<A, E>, millis: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* pass(millis)
    const exit = fiber.pollUnsafe()
    if (exit === undefined) throw new Error(`not done after ${millis} ms`)
    return yield* exit
  })

/** The error of an effect that has to fail with this tag. */
export const failure = <A, E extends { readonly _tag: string }, T extends E["_tag"]>(
  effect: Effect.Effect<A, E>,
  tag: T
) =>
  Effect.map(Effect.result(effect), (result): Extract<E, { readonly _tag: T }> => {
    if (Result.isSuccess(result)) throw new Error(`it succeeded: ${JSON.stringify(result.success)}`)
    if (result.failure._tag !== tag) throw result.failure
    return result.failure as Extract<E, { readonly _tag: T }>
  })
