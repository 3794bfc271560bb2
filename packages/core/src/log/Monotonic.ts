/**
 * Time for deadlines: it never goes back and does not follow a wall clock that is set.
 */
import type { Clock } from "effect"

/** Milliseconds from some fixed point of this process; only differences mean anything. */
export const millis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
