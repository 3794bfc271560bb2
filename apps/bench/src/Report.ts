/**
 * What was found, as Markdown tables that are aligned for a terminal too.
 */
import type { Verdict } from "./Goals.ts"
import type { FigureRow, Row } from "./Rows.ts"
import type { Spread } from "./Statistics.ts"

/** The rows of a table. `against` is the system that the ratios are to. */
export const table = (lines: ReadonlyArray<Row>, against: string): string => {
  const compares = lines.some(({ ratio }) => ratio !== undefined)
  const writes = lines.some(({ writtenBytes }) => writtenBytes !== undefined)
  const allocates = lines.some(({ allocatedBytes }) => allocatedBytes !== undefined)
  return markdown(
    [
      "writers",
      "system",
      "writes/s",
      ...(compares ? [`of ${against}`] : []),
      "p50 ms",
      "p99 ms",
      "cpu µs/write",
      "loop held p99.9 ms",
      ...(writes ? ["disk bytes/write"] : []),
      ...(allocates ? ["heap bytes/write"] : []),
      "failed"
    ],
    lines.map(({ allocatedBytes, ratio, writtenBytes, ...line }) => [
      String(line.writers),
      line.system,
      show(line.writesPerSecond, whole),
      ...(compares ? [ratio === undefined ? "" : show(ratio, percent)] : []),
      show(line.p50, digits),
      show(line.p99, digits),
      show(line.cpuMicros, digits),
      show(line.heldP999, digits),
      ...(writes ? [writtenBytes === undefined ? "" : show(writtenBytes, whole)] : []),
      ...(allocates ? [allocatedBytes === undefined ? "" : show(allocatedBytes, whole)] : []),
      String(line.failed)
    ]),
    1
  )
}

/** Numbers with a name. */
export const figures = (lines: ReadonlyArray<FigureRow>): string =>
  markdown(
    ["figure", "value", "unit"],
    lines.map(({ name, unit, value }) => [
      name,
      show(value, unit === "share" ? percent : readable),
      unit === "share" ? "" : unit
    ]),
    0
  )

/** The goals and what became of them. Values are rounded against the goal: none looks kept that is not. */
export const goals = (verdicts: ReadonlyArray<Verdict>): string =>
  markdown(
    ["goal", "bound", "measured", "holds"],
    verdicts.map(({ goal, holds, value }) => [
      goal.name,
      `${goal.is === "at least" ? "≥" : "≤"} ${goal.bound} ${goal.unit}`,
      show(value, goal.is === "at least" ? roundedDown : roundedUp),
      holds ? "yes" : "NO"
    ]),
    0
  )

/** "median (min–max)", or the value alone when there is only one. */
export const show = ({ max, median, min }: Spread, format: (value: number) => string): string =>
  min === max ? format(median) : `${format(median)} (${format(min)}–${format(max)})`

// ---------------------------------------------------------------------------------------------------------------------

const whole = (value: number): string => Math.round(value).toLocaleString("en-US")
const percent = (value: number): string => `${(value * 100).toFixed(Math.abs(value) < 10 ? 1 : 0)} %`
const digits = (value: number): string => (Math.abs(value) < 10 ? value.toFixed(2) : value.toFixed(1))
const readable = (value: number): string => (Math.abs(value) < 100 ? digits(value) : whole(value))

/** In thousandths, but for the error of binary fractions. */
const thousandths = (value: number): number => Number((value * 1000).toPrecision(12))
const roundedDown = (value: number): string => (Math.floor(thousandths(value)) / 1000).toFixed(3)
const roundedUp = (value: number): string => (Math.ceil(thousandths(value)) / 1000).toFixed(3)

/** One column is aligned to the left, the others to the right. */
const markdown = (
  head: ReadonlyArray<string>,
  body: ReadonlyArray<ReadonlyArray<string>>,
  leftColumn: number
): string => {
  const cells = [head, ...body]
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column]!.length)))
  const line = (row: ReadonlyArray<string>): string =>
    `| ${row.map((cell, i) => (i === leftColumn ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" | ")} |`
  const rule = widths.map((width, i) => (i === leftColumn ? "-".repeat(width) : `${"-".repeat(width - 1)}:`))
  return [line(head), `| ${rule.join(" | ")} |`, ...body.map(line)].join("\n")
}
