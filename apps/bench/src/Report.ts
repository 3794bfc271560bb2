/**
 * The outcome as a table: medians over the rounds with their spread, and the ratio to the ceiling of the same round.
 */
import type { Measured } from "./Bench.ts"
import { type Spread, spread } from "./Statistics.ts"

/** One line of the table. */
export interface Row {
  readonly writers: number
  readonly system: string
  readonly writesPerSecond: Spread
  /** Throughput as a share of the ceiling's in the same round; absent when the ceiling was not measured. */
  readonly ratio: Spread | undefined
  readonly p50: Spread
  readonly p99: Spread
  readonly cpuMicros: Spread
  readonly failed: number
}

/** Brings the samples together, by writers and then in the order in which the systems ran. */
export const rows = (measured: ReadonlyArray<Measured>, ceiling: string): ReadonlyArray<Row> => {
  const groups = new Map<string, Array<Measured>>()
  for (const sample of measured) {
    const key = `${sample.writers} ${sample.system}`
    groups.set(key, [...(groups.get(key) ?? []), sample])
  }
  return Array.from(groups.values(), (samples) => {
    const { system, writers } = samples[0]!
    const ratios = samples.flatMap(({ round, writesPerSecond }) => {
      const same = measured.find(
        (other) => other.system === ceiling && other.writers === writers && other.round === round
      )
      return same === undefined ? [] : [writesPerSecond / same.writesPerSecond]
    })
    return {
      writers,
      system,
      writesPerSecond: spread(samples.map((sample) => sample.writesPerSecond)),
      ratio: ratios.length === 0 ? undefined : spread(ratios),
      p50: spread(samples.map((sample) => sample.p50)),
      p99: spread(samples.map((sample) => sample.p99)),
      cpuMicros: spread(samples.map((sample) => sample.cpuMicros)),
      failed: samples.reduce((sum, sample) => sum + sample.failed, 0)
    }
  })
}

/** The rows as a Markdown table that is aligned for a terminal too. */
export const table = (lines: ReadonlyArray<Row>): string => {
  const cells = [
    ["writers", "system", "writes/s", "of the ceiling", "p50 ms", "p99 ms", "cpu µs/write", "failed"],
    ...lines.map(({ cpuMicros, failed, p50, p99, ratio, system, writers, writesPerSecond }) => [
      String(writers),
      system,
      show(writesPerSecond, whole),
      ratio === undefined ? "" : show(ratio, percent),
      show(p50, digits),
      show(p99, digits),
      show(cpuMicros, digits),
      String(failed)
    ])
  ]
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  const line = (row: ReadonlyArray<string>): string =>
    `| ${row.map((cell, i) => (i === 1 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" | ")} |`
  const rule = `| ${widths.map((width, i) => (i === 1 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)].join("\n")
}

/** "median (min–max)", or the value alone when there is only one. */
export const show = ({ max, median, min }: Spread, format: (value: number) => string): string =>
  min === max ? format(median) : `${format(median)} (${format(min)}–${format(max)})`

// ---------------------------------------------------------------------------------------------------------------------

const whole = (value: number): string => Math.round(value).toLocaleString("en-US")
const percent = (value: number): string => `${Math.round(value * 100)} %`
const digits = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(1))
