/**
 * How long work holds the event loop.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect } from "effect"
import type { Figure } from "./Part.ts"

/** What one round of a part found. */
export type Found = ReadonlyArray<Omit<Figure, "round">>

/** How long the event loop was held while something ran, at the slowest of a thousand looks and at the slowest. */
export const lagOf = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const began = performance.now()
    const result = yield* effect
    const seconds = (performance.now() - began) / 1000
    delay.disable()
    // A timer of a millisecond is late by one when nothing holds it.
    const millis = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - 1)
    const lag: Found = [
      { name: `${what}, loop held, p99.9`, unit: "ms", value: millis(delay.percentile(99.9)) },
      { name: `${what}, loop held, at most`, unit: "ms", value: millis(delay.max) }
    ]
    return { result, seconds, lag }
  })
