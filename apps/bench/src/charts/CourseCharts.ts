/**
 * Charts over time, and over the length of the log.
 */
import type { TopLevelSpec } from "vega-lite"
import type { Measured } from "../Bench.ts"
import * as Course from "../Course.ts"
import type { Outcome } from "../Part.ts"
import type { Point } from "../Points.ts"
import type { Chart } from "../Svg.ts"
import { base, colour, type Datum } from "./Style.ts"

/** Throughput and the delay of the record index. */
export const sustained = ({ part, samples }: Outcome, note: string): Chart =>
  panels(part, "Sustained load: throughput and delay of the record index", note, samples, [
    { ...throughput, of: samples },
    { field: "indexDelay", unit: "index delay in entries", of: samples, values: pointsWith("indexDelay") }
  ])

/** Throughput by the length of the log. */
export const growth = ({ parameters, part, samples }: Outcome, note: string): Chart =>
  panels(
    part,
    "Throughput while the log grows (ws, 256 writers)",
    note,
    samples,
    [
      {
        field: "writesPerSecond",
        unit: "commits per second",
        of: samples,
        values: ({ points }) => Course.slices(points, Number(parameters["slice"]))
      }
    ],
    { field: "writes", title: "commits since counting began" }
  )

/** Memory, and what the peer that is down lacks. */
export const peerDown = ({ part, samples }: Outcome, note: string): Chart =>
  panels(part, "A peer down: memory of the replica that commits", note, samples, [
    { field: "rssMiB", unit: "resident memory in MiB", of: samples, values: pointsWith("rssMiB") },
    { field: "heapMiB", unit: "V8's heap in MiB", of: samples, values: pointsWith("heapMiB") },
    {
      field: "lag",
      unit: "lag in entries",
      of: samples.filter(({ system }) => system === "one peer down"),
      values: pointsWith("lag")
    }
  ])

/** Throughput before and meanwhile, and what the replica still lacks. */
export const catchUp = ({ part, samples }: Outcome, note: string): Chart => {
  const shown = samples.filter(({ system }) => system !== "one away")
  return panels(part, "Commits while a replica that was away catches up", note, shown, [
    { ...throughput, of: shown },
    {
      field: "lag",
      unit: "lag of that replica in entries",
      of: shown.filter(({ system }) => system === "during catch-up"),
      values: pointsWith("lag")
    }
  ])
}

// ---------------------------------------------------------------------------------------------------------------------

/** One of several charts below each other. */
interface Panel {
  readonly field: string
  readonly unit: string
  readonly of: ReadonlyArray<Measured>
  readonly values: (sample: Measured) => ReadonlyArray<object>
}

const pointsWith =
  (field: keyof Point): Panel["values"] =>
  ({ points }) =>
    points.filter((point) => point[field] !== undefined)

const throughput: Omit<Panel, "of"> = {
  field: "writesPerSecond",
  unit: "commits per second",
  values: ({ points }) => Course.rates(points)
}

/** Every sample is a line of its own in the colour of its system. */
const panels = (
  name: string,
  title: string,
  note: string,
  samples: ReadonlyArray<Measured>,
  of: ReadonlyArray<Panel>,
  x = { field: "second", title: "seconds since counting began" }
): Chart => ({
  name,
  spec: {
    ...base(title, note),
    vconcat: of.map(({ field, of, unit, values }) => ({
      width: 600,
      height: 200,
      data: {
        values: of.flatMap((sample, line) =>
          values(sample).map((value): Datum => ({ ...value, system: sample.system, line }))
        )
      },
      mark: { type: "line", strokeWidth: 1.5 },
      encoding: {
        x: { field: x.field, type: "quantitative", title: x.title },
        y: { field, type: "quantitative", title: unit },
        color: colour(samples),
        detail: { field: "line", type: "nominal" }
      }
    }))
  } as unknown as TopLevelSpec
})
