/**
 * Numbers from a seed: the same for the same seed.
 */

/** A whole number from 0 to below `limit`. */
export type Random = (limit: number) => number

/** Mulberry32. */
export const make = (seed: number): Random => {
  let state = seed >>> 0
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

/** One of several. */
export const pick = <A>(random: Random, from: ReadonlyArray<A>): A => from[random(from.length)]!
