/**
 * Charts of a table: by numbers of writers, or bars when there is only one.
 */
import type { TopLevelSpec } from "vega-lite"
import { inWords } from "../ClosedLoop.ts"
import type { Outcome } from "../Part.ts"
import * as Rows from "../Rows.ts"
import type { Chart } from "../Svg.ts"
import { base, colour, flat } from "./Style.ts"

/** What one chart of a table shows. */
interface Subject {
  readonly name: string
  readonly title: string
  readonly note: string
  readonly field: string
  readonly unit: string
}

/** Throughput, its ratio, latency, and for how long the event loop was held. */
export const of = ({ against, part, samples }: Outcome, note: string): ReadonlyArray<Chart> => {
  const rows = Rows.rows(samples, against)
  const values = rows.map((row) => ({
    writers: row.writers,
    system: row.system,
    ...flat("throughput", row.writesPerSecond),
    ...flat("ratio", row.ratio),
    ...flat("p50", row.p50),
    ...flat("p99", row.p99),
    ...flat("held", row.heldP999)
  }))
  const numbers = Array.from(new Set(rows.map(({ writers }) => writers)))
  const writers = numbers.length === 1 ? `, ${inWords(numbers[0]!)}` : ""
  const draw = (suffix: string, field: string, title: string, unit: string): Chart => {
    const name = `${part}${suffix}`
    const subject = {
      name,
      title: `${title} (${part}${writers})`,
      note: `${note}; line at a point: from the lowest to the highest round`,
      field,
      unit
    }
    const shown = values.filter((value) => field in value)
    return { name, spec: (numbers.length > 1 ? byWriters : bars)(subject, shown, colour(samples)) }
  }
  return [
    draw("", "throughput", "Throughput", "commits per second"),
    ...(rows.some(({ ratio }) => ratio !== undefined)
      ? [draw("-ratio", "ratio", `Throughput against ${against}`, `times ${against}, same round`)]
      : []),
    draw("-p50", "p50", "Latency, median", "p50 in milliseconds"),
    draw("-p99", "p99", "Latency, 99th percentile", "p99 in milliseconds"),
    draw("-held", "held", "Event loop of who commits, held", "p99.9 in milliseconds")
  ]
}

// ---------------------------------------------------------------------------------------------------------------------

type Colour = ReturnType<typeof colour>

const byWriters = (
  { field, note, title, unit }: Subject,
  values: ReadonlyArray<{ readonly writers: number }>,
  color: Colour
) =>
  ({
    ...base(title, note),
    width: 560,
    height: 340,
    data: { values },
    encoding: {
      x: {
        field: "writers",
        type: "quantitative",
        title: "writers (writes under way at once)",
        scale: { type: "log", base: 2 },
        axis: { values: Array.from(new Set(values.map(({ writers }) => writers))) }
      },
      color
    },
    layer: [
      {
        mark: { type: "line", point: { size: 45 } },
        encoding: { y: { field, type: "quantitative", title: unit, scale: { type: "log" } } }
      },
      {
        mark: { type: "rule", opacity: 0.6 },
        encoding: { y: { field: `${field}Min`, type: "quantitative" }, y2: { field: `${field}Max` } }
      }
    ]
  }) as unknown as TopLevelSpec

const bars = ({ field, note, title, unit }: Subject, values: ReadonlyArray<object>, color: Colour) =>
  ({
    ...base(title, note),
    width: 560,
    height: { step: 34 },
    data: { values },
    encoding: { y: { field: "system", type: "nominal", title: null, sort: color.scale.domain } },
    layer: [
      {
        mark: { type: "bar", height: { band: 0.65 } },
        encoding: { x: { field, type: "quantitative", title: unit }, color: { ...color, legend: null } }
      },
      {
        mark: { type: "rule", strokeWidth: 1.5 },
        encoding: { x: { field: `${field}Min`, type: "quantitative" }, x2: { field: `${field}Max` } }
      }
    ]
  }) as unknown as TopLevelSpec
