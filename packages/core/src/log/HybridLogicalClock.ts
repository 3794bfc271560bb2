/**
 * A hybrid logical clock: timestamps that stay close to wall time and still respect causality.
 *
 * Source: S. Kulkarni, M. Demirbas, D. Madappa, B. Avva, M. Leone, "Logical Physical Clocks" (OPODIS 2014), figure 5.
 * `wallTime` is milliseconds since the epoch, `logical` counts events within one `wallTime`. Pure: the caller passes
 * the time.
 */
import { Result, Schema } from "effect"

/** The latest wall time that a timestamp can have, in milliseconds since the epoch. */
export const maxWallTime = 2 ** 48 - 1

/** The most stamps of one wall time, less one. */
export const maxLogical = 2 ** 32 - 1

/** A timestamp: `wallTime` in milliseconds since the epoch, then `logical`. */
export const HybridLogicalClock = Schema.Struct({
  wallTime: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: maxWallTime })),
  logical: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: maxLogical }))
})

/** A timestamp. */
export type HybridLogicalClock = typeof HybridLogicalClock.Type

/** The clock is at the end of its range: there is no later timestamp. It never goes on from the beginning. */
export class ClockExhausted extends Schema.TaggedError<ClockExhausted>()("ClockExhausted", {}) {
  override get message(): string {
    return "the clock is at the end of its range, and there is no later timestamp; set the clock of this machine right"
  }
}

/** Before every other timestamp. */
export const zero: HybridLogicalClock = { wallTime: 0, logical: 0 }

/** The timestamp of a new local event: after `last`, and not before `wallMillis` (whole milliseconds). */
export const tick = (
  last: HybridLogicalClock,
  wallMillis: number
): Result.Result<HybridLogicalClock, ClockExhausted> => {
  const ticked = next(last, wallMillis)
  return ticked === undefined ? Result.fail(new ClockExhausted()) : Result.succeed(ticked)
}

/** {@link tick}, for stamping one write after the other: `undefined` at the end of the range. */
export const next = (last: HybridLogicalClock, wallMillis: number): HybridLogicalClock | undefined => {
  if (wallMillis > last.wallTime) return wallMillis > maxWallTime ? undefined : { wallTime: wallMillis, logical: 0 }
  if (last.logical < maxLogical) return { wallTime: last.wallTime, logical: last.logical + 1 }
  return last.wallTime < maxWallTime ? { wallTime: last.wallTime + 1, logical: 0 } : undefined
}

/**
 * The clock after it has seen a remote timestamp: every later `tick` comes after both. A timestamp that is later than
 * `limit` (milliseconds) does not move it.
 */
export const receive = (last: HybridLogicalClock, remote: HybridLogicalClock, limit: number): HybridLogicalClock =>
  remote.wallTime <= limit && compare(remote, last) > 0 ? remote : last

/** Order of timestamps: negative when `a` is before `b`, 0 when equal. */
export const compare = (a: HybridLogicalClock, b: HybridLogicalClock): number =>
  a.wallTime - b.wallTime || a.logical - b.logical
