/**
 * How all charts look: legible on white, with a title, and a note about the machine under it.
 */
import type { Measured } from "../Bench.ts"
import type { Spread } from "../Statistics.ts"

const config = {
  background: "white",
  font: "DejaVu Sans, Helvetica, Arial, sans-serif",
  axis: { labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal", gridColor: "#e5e5e5" },
  legend: { labelFontSize: 12, titleFontSize: 12, labelLimit: 240 },
  title: { fontSize: 16, subtitleFontSize: 11, subtitleColor: "#666", anchor: "start", offset: 12 },
  view: { stroke: "#ccc" }
} as const

/** What a mark is drawn from. */
export type Datum = Record<string, unknown>

/** A value with its spread, as fields of what is drawn. */
export const flat = (name: string, spread: Spread | undefined): Datum =>
  spread === undefined ? {} : { [name]: spread.median, [`${name}Min`]: spread.min, [`${name}Max`]: spread.max }

/** What the charts have in common. */
export const base = (title: string, note: string) =>
  ({
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    config,
    title: { text: title, subtitle: note }
  }) as const

/** Systems keep the order in which they were measured, and so their colours; no two of a chart have the same. */
export const colour = (samples: ReadonlyArray<Measured>) => {
  const domain = Array.from(new Set(samples.map(({ system }) => system)))
  return {
    field: "system",
    type: "nominal",
    title: null,
    scale: { domain, scheme: domain.length > 10 ? "category20" : "category10" }
  }
}
