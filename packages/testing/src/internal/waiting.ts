/**
 * Waiting for what can be seen, never for time to pass, and never without an end.
 */
import { Effect, type Exit, Fiber, Schedule } from "effect"

/** Waits until a condition holds; a defect that names it when that takes longer than `millis`. */
export const until = (
  what: string,
  condition: () => boolean | Effect.Effect<boolean, unknown>,
  millis = 5000
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const holds = condition()
    return Effect.flatMap(typeof holds === "boolean" ? Effect.succeed(holds) : holds, (now) =>
      now ? Effect.void : Effect.fail(what)
    )
  }).pipe(Effect.retry(Schedule.spaced(5)), bounded(`not within ${millis} ms: ${what}`, millis), Effect.orDie)

/** A defect that names the effect when it takes longer than `millis`. */
export const within =
  (what: string, millis = 5000) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    bounded<A, E, R>(`${what} did not end within ${millis} ms`, millis)(effect)

// ---------------------------------------------------------------------------------------------------------------------

/** Does not wait for the effect to be interrupted: one that cannot be is the fault that is looked for. */
const bounded =
  <A, E, R>(message: string, millis: number) =>
  (effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkDetach(effect, { startImmediately: true })
      const exit = yield* Effect.raceFirst(
        Effect.map(Fiber.await(fiber), (exit): Exit.Exit<A, E> | undefined => exit),
        Effect.as(Effect.sleep(millis), undefined)
      ).pipe(Effect.onInterrupt(() => Effect.sync(() => fiber.interruptUnsafe())))
      if (exit !== undefined) return yield* exit
      fiber.interruptUnsafe()
      return yield* Effect.die(new Error(message))
    })
