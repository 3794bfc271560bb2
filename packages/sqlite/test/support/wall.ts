/** Wall clocks that are days ahead, over the time that passes. */
import { Clock, Effect, Layer } from "effect"

const dayMillis = 24 * 60 * 60 * 1000

/** A wall clock that is days ahead. */
export const daysAhead = (days: () => number): Layer.Layer<never> =>
  Layer.effect(
    Clock.Clock,
    Effect.map(Clock.Clock, (inner): Clock.Clock => {
      const millis = () => inner.currentTimeMillisUnsafe() + days() * dayMillis
      const nanos = () => BigInt(millis()) * 1_000_000n
      return {
        currentTimeMillisUnsafe: millis,
        currentTimeMillis: Effect.sync(millis),
        currentTimeNanosUnsafe: nanos,
        currentTimeNanos: Effect.sync(nanos),
        monotonicTimeNanosUnsafe: () => inner.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: inner.monotonicTimeNanos,
        sleep: (duration) => inner.sleep(duration)
      }
    })
  )
