/** Wall clocks that are wrong, each replica's by itself, over the one virtual time of a test. */
import { Clock, Effect } from "effect"

/** A wall clock that can be set; its monotonic side, and what sleeps by it, go on as before. */
export interface Wall {
  readonly clock: Clock.Clock
  /** By how many milliseconds it is ahead from now on. */
  readonly set: (aheadMillis: number) => void
}

/** Starts ahead of the test's own clock by `aheadMillis`. */
export const make = (aheadMillis = 0): Effect.Effect<Wall> =>
  Effect.map(Clock.Clock, (inner) => {
    let ahead = aheadMillis
    const millis = () => inner.currentTimeMillisUnsafe() + ahead
    const nanos = () => inner.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n
    return {
      set: (by) => void (ahead = by),
      clock: {
        currentTimeMillisUnsafe: millis,
        currentTimeMillis: Effect.sync(millis),
        currentTimeNanosUnsafe: nanos,
        currentTimeNanos: Effect.sync(nanos),
        monotonicTimeNanosUnsafe: () => inner.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: inner.monotonicTimeNanos,
        sleep: (duration) => inner.sleep(duration)
      }
    }
  })

/** Runs an effect, a start of a replica say, by this clock. */
export const by =
  ({ clock }: Wall) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(effect, Clock.Clock, clock)
