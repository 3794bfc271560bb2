/** Whether a suite finds what was planted. */
import { assert } from "@effect/vitest"
import { Cause, Effect, Exit, type Layer } from "effect"
import { Conformance } from "../../src/index.ts"

/** Which case finds a fault, and what it says then. */
export type Finds = ReadonlyArray<readonly [name: string, message: RegExp]>

/** Runs the named cases on something broken: every one of them fails, and for the right reason. */
export const finds = <R, E>(
  cases: ReadonlyArray<Conformance.Case<R>>,
  broken: Layer.Layer<R, E>,
  expected: Finds
): Effect.Effect<void> =>
  Effect.forEach(
    expected,
    ([name, message]) =>
      Effect.gen(function* () {
        const found = cases.find((each) => each.name === name)
        assert(found !== undefined, `there is no case ${JSON.stringify(name)}`)
        const exit = yield* Effect.exit(Conformance.run(found, broken))
        assert(Exit.isFailure(exit), `not found by: ${name}`)
        assert.match(String(Cause.squash(exit.cause)), message, name)
      }),
    { concurrency: "unbounded", discard: true }
  )
