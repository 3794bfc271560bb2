/**
 * A clock that is wrong by a fixed time, as that of a machine is that nobody has set right. Only the time of day is
 * wrong: what measures how long something takes is not.
 */
import { Clock, Effect } from "effect"

/** The clock of this process, ahead by so many milliseconds; behind when below 0. */
export const make = (clock: Clock.Clock, millis: number): Clock.Clock => {
  const nanos = BigInt(millis) * 1_000_000n
  const currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() + millis
  const currentTimeNanosUnsafe = () => clock.currentTimeNanosUnsafe() + nanos
  return {
    currentTimeMillisUnsafe,
    currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
    currentTimeNanosUnsafe,
    currentTimeNanos: Effect.sync(currentTimeNanosUnsafe),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
}

/** Runs a program by such a clock. */
export const provide =
  (millis: number) =>
  <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    millis === 0 ? program : Effect.updateService(program, Clock.Clock, (clock) => make(clock, millis))
