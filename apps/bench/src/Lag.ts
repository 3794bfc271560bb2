/**
 * How long work holds the event loop, and what it writes to the disk.
 */
import { Effect } from "effect"
import type { Figure } from "./Part.ts"
import * as Spent from "./Spent.ts"

/** What one round of a part found. */
export type Found = ReadonlyArray<Omit<Figure, "round">>

/** How long the event loop was held while something ran, at the slowest of a thousand looks and at the slowest. */
export const lagOf = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const stop = Spent.start()
    const began = performance.now()
    const result = yield* effect
    const seconds = (performance.now() - began) / 1000
    const { heldMost, heldP999, writtenBytes } = stop()
    const lag: Found = [
      { name: `${what}, loop held, p99.9`, unit: "ms", value: heldP999 },
      { name: `${what}, loop held, at most`, unit: "ms", value: heldMost }
    ]
    return { result, seconds, lag, writtenBytes: writtenBytes ?? Number.NaN }
  })
