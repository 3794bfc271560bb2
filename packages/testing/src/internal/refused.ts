/** For what has to fail. */
import { assert } from "@effect/vitest"
import { Effect, Result } from "effect"

/** The error of an effect that has to fail; an assertion that says so when it succeeds. */
export const refused = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.map(Effect.result(effect), (result) => {
    assert(Result.isFailure(result), `${what} was accepted`)
    return result.failure
  })
