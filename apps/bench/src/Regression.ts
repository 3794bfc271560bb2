/**
 * Whether a few short measurements say that something has become much slower: a pure function of the samples.
 */
import type { Measured } from "./Bench.ts"
import * as Rows from "./Rows.ts"
import * as Systems from "./Systems.ts"

/**
 * What `bench:check` measured when this was last written, on a machine with nothing else to do: the lowest of its rounds'
 * ratios. The floors follow from these and from nothing else, so this is the place to write to when a change makes Quorum
 * faster for good, with the day.
 */
export const measured = {
  on: "2026-11-27",
  /** Throughput of ws, of the ceiling's, in both rounds; decision 0082 says why it was 0.55 once. */
  ws: 0.38,
  /** Processor time per write of the ceiling, of that of core alone, so without the disk; the highest was 0.54. */
  core: 0.52
} as const

/** So much of what was measured still passes. */
const share = 0.4

const floorOf = (ratio: number): number => Math.round(ratio * share * 1000) / 1000

/**
 * The lowest ratios that pass. They are wide on purpose, and against the best of several rounds, so that noise passes and
 * three times slower does not.
 */
export const floors = { ws: floorOf(measured.ws), core: floorOf(measured.core) }

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
export const findings = (samples: ReadonlyArray<Measured>): ReadonlyArray<Finding> => [
  finding("throughput of ws, of the ceiling's", floors.ws, throughputs(samples)),
  finding("processor time per write of the ceiling, of core's", floors.core, costs(samples))
]

/** One line about a finding: which ratio, what was measured, what the floor is. */
export const line = ({ best, floor, name, passes, rounds }: Finding): string =>
  `${passes ? "passes" : "FAILS"}: ${name}: ${best.toFixed(2)} at best (rounds: ` +
  `${rounds.map((ratio) => ratio.toFixed(2)).join(", ")}), and the floor is ${floor}`

// ---------------------------------------------------------------------------------------------------------------------

const throughputs = (samples: ReadonlyArray<Measured>) =>
  Rows.ratios(samples, {
    system: Systems.ws.name,
    against: Systems.ceiling.name,
    writers,
    of: ({ writesPerSecond }) => writesPerSecond
  })

const costs = (samples: ReadonlyArray<Measured>) =>
  Rows.ratios(samples, {
    system: Systems.ceiling.name,
    against: Systems.core.name,
    writers,
    of: ({ cpuMicros }) => cpuMicros
  })

const finding = (name: string, floor: number, rounds: ReadonlyArray<number>): Finding => {
  const best = Math.max(0, ...rounds.filter((ratio) => !Number.isNaN(ratio)))
  return { name, best, rounds, floor, passes: best >= floor }
}
