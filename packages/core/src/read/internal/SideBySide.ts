/**
 * Questions that are asked side by side, and answered in any order.
 */
import { Effect, Queue, type Scope } from "effect"
import type { Said } from "./Questions.ts"

/** Nothing was asked. What is under way ends with the scope of who asks. */
export const make = Effect.gen(function* () {
  const said = yield* Queue.unbounded<Said>()
  let open = 0
  return {
    /** How many have no answer yet. */
    open: (): number => open,
    ask: (question: Effect.Effect<Said>): Effect.Effect<unknown, never, Scope.Scope> => {
      open++
      return Effect.forkScoped(Effect.flatMap(question, (each) => Queue.offer(said, each)))
    },
    /** The next answer. */
    next: Effect.map(Queue.take(said), (each) => {
      open--
      return each
    })
  }
})
