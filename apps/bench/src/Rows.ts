/**
 * Samples brought together: medians over the rounds with their spread, and ratios to a system of the same round.
 */
import type { Measured } from "./Bench.ts"
import type { Figure } from "./Part.ts"
import { type Spread, spread } from "./Statistics.ts"

/** One line of a table. */
export interface Row {
  readonly writers: number
  readonly system: string
  readonly writesPerSecond: Spread
  /** Throughput as a share of that of the system compared with, in the same round; absent when that has none. */
  readonly ratio: Spread | undefined
  readonly p50: Spread
  readonly p99: Spread
  readonly cpuMicros: Spread
  readonly heldP999: Spread
  readonly writtenBytes: Spread | undefined
  readonly allocatedBytes: Spread | undefined
  readonly failed: number
}

/** One line about a number that was found once a round. */
export interface FigureRow {
  readonly name: string
  readonly unit: string
  readonly value: Spread
}

/** Brings the samples together, by writers and then in the order in which the systems ran first. */
export const rows = (measured: ReadonlyArray<Measured>, against: string): ReadonlyArray<Row> =>
  grouped(measured, ({ system, writers }) => `${writers} ${system}`).map((samples) => {
    const { system, writers } = samples[0]!
    const compared = ratios(measured, { system, against, writers, of: ({ writesPerSecond }) => writesPerSecond })
    return {
      writers,
      system,
      writesPerSecond: spread(samples.map((sample) => sample.writesPerSecond)),
      ratio: compared.length === 0 ? undefined : spread(compared),
      p50: spread(samples.map((sample) => sample.p50)),
      p99: spread(samples.map((sample) => sample.p99)),
      cpuMicros: spread(samples.map((sample) => sample.cpuMicros)),
      heldP999: spread(samples.map((sample) => sample.heldP999)),
      writtenBytes: some(samples, ({ writtenBytes }) => writtenBytes),
      allocatedBytes: some(samples, ({ allocatedBytes }) => allocatedBytes),
      failed: samples.reduce((sum, sample) => sum + sample.failed, 0)
    }
  })

/** What only some systems are measured for. */
const some = (samples: ReadonlyArray<Measured>, of: (sample: Measured) => number | undefined): Spread | undefined => {
  const found = samples.map(of).filter((value) => value !== undefined)
  return found.length === 0 ? undefined : spread(found)
}

/** One system divided by another, round by round, where both were measured. */
export const ratios = (
  measured: ReadonlyArray<Measured>,
  {
    against,
    of,
    system,
    writers
  }: {
    readonly system: string
    readonly against: string
    readonly writers: number
    readonly of: (sample: Measured) => number
  }
): ReadonlyArray<number> =>
  measured
    .filter((sample) => sample.system === system && sample.writers === writers)
    .flatMap((sample) => {
      const other = measured.find(
        ({ round, system, writers }) => system === against && writers === sample.writers && round === sample.round
      )
      return other === undefined ? [] : [of(sample) / of(other)]
    })

/** Brings the figures together by name. */
export const figureRows = (figures: ReadonlyArray<Figure>): ReadonlyArray<FigureRow> =>
  grouped(figures, ({ name }) => name).map((same) => ({
    name: same[0]!.name,
    unit: same[0]!.unit,
    value: spread(same.map(({ value }) => value))
  }))

// ---------------------------------------------------------------------------------------------------------------------

const grouped = <A>(values: ReadonlyArray<A>, by: (value: A) => string): ReadonlyArray<ReadonlyArray<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const value of values) {
    const group = groups.get(by(value))
    if (group === undefined) groups.set(by(value), [value])
    else group.push(value)
  }
  return Array.from(groups.values())
}
