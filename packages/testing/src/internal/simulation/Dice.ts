/**
 * Randomness of a run: streams of numbers that a seed and a name decide, so that one part of a run that draws more does
 * not change what another part draws.
 */
import type { Random } from "effect"
import * as Faults from "../../Faults.ts"

/** A stream of random numbers. */
export interface Dice {
  /** From 0 to below 1. */
  readonly next: () => number
  /** A whole number from 0 to below `count`. */
  readonly below: (count: number) => number
  /** A number from `least` to below `most`. */
  readonly between: (least: number, most: number) => number
  /** Whether something of this chance happens. */
  readonly chance: (chance: number) => boolean
  /** One of a list that is not empty. */
  readonly pick: <A>(items: ReadonlyArray<A>) => A
  /** The time to the next of events that come at random, `mean` apart. */
  readonly wait: (mean: number) => number
}

/** The stream of this name. */
export const make = (seed: number, name: string): Dice => {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.floor(seed / 2 ** 32)
  for (let i = 0; i < name.length; i++) state = Math.imul(state ^ name.charCodeAt(i), 0x01000193)
  const next = Faults.generator(state)
  for (let i = 0; i < 4; i++) next()
  const below = (count: number): number => Math.floor(next() * count)
  return {
    next,
    below,
    between: (least, most) => least + next() * (most - least),
    chance: (chance) => next() < chance,
    pick: (items) => items[below(items.length)]!,
    wait: (mean) => -Math.log(1 - next()) * mean
  }
}

/** A stream as Effect's service. */
export const asRandom = ({ next }: Dice): Random.Random => ({
  nextDoubleUnsafe: next,
  nextIntUnsafe: () => Math.floor((next() - 0.5) * 2 * Number.MAX_SAFE_INTEGER)
})
