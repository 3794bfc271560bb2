/**
 * Whether a few short measurements say that something has become much slower: a pure function of the samples.
 */
import type { Measured } from "./Bench.ts"
import * as Rows from "./Rows.ts"
import * as Systems from "./Systems.ts"

/**
 * The lowest ratios that pass. They are wide on purpose: about 0.4 of what was measured when they were last set, against
 * the best of several rounds, so that noise passes and three times slower does not. Set them again when a change makes
 * Quorum faster for good.
 */
export const floors = {
  /** Throughput of ws, of the ceiling's; measured 0.55–0.62. */
  ws: 0.22,
  /** Processor time per write of the ceiling, of that of core alone, so without the disk; measured 0.5–0.6. */
  core: 0.2
} as const

/** How many writers the check uses. */
export const writers = 256

/** One ratio and whether it passes. */
export interface Finding {
  readonly name: string
  readonly best: number
  readonly rounds: ReadonlyArray<number>
  readonly floor: number
  readonly passes: boolean
}

/** The verdict on the rounds of a check. A ratio that could not be measured does not pass. */
export const findings = (measured: ReadonlyArray<Measured>): ReadonlyArray<Finding> => [
  finding("throughput of ws, of the ceiling's", floors.ws, throughputs(measured)),
  finding("processor time per write of the ceiling, of core's", floors.core, costs(measured))
]

/** One line about a finding: which ratio, what was measured, what the floor is. */
export const line = ({ best, floor, name, passes, rounds }: Finding): string =>
  `${passes ? "passes" : "FAILS"}: ${name}: ${best.toFixed(2)} at best (rounds: ` +
  `${rounds.map((ratio) => ratio.toFixed(2)).join(", ")}), and the floor is ${floor}`

// ---------------------------------------------------------------------------------------------------------------------

const throughputs = (measured: ReadonlyArray<Measured>) =>
  Rows.ratios(measured, {
    system: Systems.ws.name,
    against: Systems.ceiling.name,
    writers,
    of: ({ writesPerSecond }) => writesPerSecond
  })

const costs = (measured: ReadonlyArray<Measured>) =>
  Rows.ratios(measured, {
    system: Systems.ceiling.name,
    against: Systems.core.name,
    writers,
    of: ({ cpuMicros }) => cpuMicros
  })

const finding = (name: string, floor: number, rounds: ReadonlyArray<number>): Finding => {
  const best = Math.max(0, ...rounds.filter((ratio) => !Number.isNaN(ratio)))
  return { name, best, rounds, floor, passes: best >= floor }
}
