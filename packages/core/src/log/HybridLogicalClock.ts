/**
 * A hybrid logical clock: timestamps that stay close to wall time and still respect causality.
 *
 * Source: S. Kulkarni, M. Demirbas, D. Madappa, B. Avva, M. Leone, "Logical Physical Clocks" (OPODIS 2014), figure 5.
 * `wallTime` is milliseconds since the epoch, `logical` counts events within one `wallTime`. Pure: the caller passes
 * the time.
 */
import { Schema } from "effect"

/** A timestamp: `wallTime` in milliseconds since the epoch, then `logical`. */
export const HybridLogicalClock = Schema.Struct({
  wallTime: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 48 - 1 })),
  logical: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 32 - 1 }))
})

/** A timestamp. */
export type HybridLogicalClock = typeof HybridLogicalClock.Type

const maxLogical = 2 ** 32 - 1

/** Before every other timestamp. */
export const zero: HybridLogicalClock = { wallTime: 0, logical: 0 }

/** The timestamp of a new local event: after `last`, and not before `now` (milliseconds). */
export const tick = (last: HybridLogicalClock, now: number): HybridLogicalClock =>
  now > last.wallTime
    ? { wallTime: now, logical: 0 }
    : last.logical < maxLogical
      ? { wallTime: last.wallTime, logical: last.logical + 1 }
      : { wallTime: last.wallTime + 1, logical: 0 }

/** The clock after it has seen a remote timestamp: every later `tick` comes after both. */
export const receive = (last: HybridLogicalClock, remote: HybridLogicalClock): HybridLogicalClock =>
  compare(remote, last) > 0 ? remote : last

/** Order of timestamps: negative when `a` is before `b`, 0 when equal. */
export const compare = (a: HybridLogicalClock, b: HybridLogicalClock): number =>
  a.wallTime - b.wallTime || a.logical - b.logical
