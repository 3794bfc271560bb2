/**
 * The time by which a replica stamps: its wall clock, held near the middle of the clocks of all members.
 *
 * A single clock that is wrong, by a second or by ten years, is held back at once and not after it has stamped writes;
 * what the others measured is carried on by monotonic time, which does not jump. This is hygiene: which of two writes
 * is the later does not rest on it. Pure: the caller passes the clocks.
 */

/** A wall clock in milliseconds since the epoch, and when it was read, in milliseconds of a monotonic clock. */
export interface Reading {
  readonly wallMillis: number
  readonly monotonicMillis: number
}

/** The time by which a replica stamps. */
export interface EffectiveTime {
  /** Whole milliseconds since the epoch. */
  readonly millis: number
  /** By how many whole milliseconds the wall clock is beyond its bound: above 0 when it is ahead, below when it is behind, usually 0. */
  readonly heldMillis: number
}

/**
 * The own clock as it is now, held within `boundMillis` of the median of all clocks, its own among them. Of an even
 * number of clocks the earlier of the two in the middle counts: a clock that is behind costs nothing, and one that is
 * ahead lasts.
 */
export const make = (own: Reading, others: Iterable<Reading>, boundMillis: number): EffectiveTime => {
  const clocks = [own.wallMillis]
  let isNearAll = true
  for (const { monotonicMillis, wallMillis } of others) {
    const other = wallMillis + own.monotonicMillis - monotonicMillis
    clocks.push(other)
    // With a millisecond to spare, for the fractions that are cut off.
    if (!(Math.abs(other - own.wallMillis) < boundMillis - 1)) isNearAll = false
  }
  const wallMillis = Math.floor(own.wallMillis)
  // As nearly always: what is near all of them is near the one in the middle, whichever that is.
  if (isNearAll) return { millis: Math.max(0, wallMillis), heldMillis: 0 }
  clocks.sort((a, b) => a - b)
  const median = Math.floor(clocks[(clocks.length - 1) >> 1]!)
  const held = Math.min(Math.max(wallMillis, median - boundMillis), median + boundMillis)
  return { millis: Math.max(0, held), heldMillis: wallMillis - held }
}
