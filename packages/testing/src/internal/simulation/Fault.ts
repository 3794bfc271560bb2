/**
 * A fault: what it does, and how it ends.
 */
import type { Dice } from "./Dice.ts"
import type { World } from "./World.ts"

/** How faults are chosen. */
export interface Choice {
  /** Whether disks are lost that are needed: what was acknowledged is not safe then. */
  readonly isReckless: boolean
}

/** What was done, how long it lasts, and how it ends; `undefined` when it could not be done. */
export type Undo = { readonly what: string; readonly millis: number; readonly end: () => void } | undefined

/** A fault. */
export type Fault = (world: World, dice: Dice, options: Choice) => Undo

/** Nothing is to be undone. */
export const nothing = (): void => {}

/** Down for a moment, or for long. */
export const downMillis = (dice: Dice): number => dice.wait(dice.pick([20, 200, 3000, 3000]))
