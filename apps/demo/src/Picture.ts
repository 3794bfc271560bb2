/**
 * The dashboard's panels as one SVG, drawn from what a Prometheus answers to the dashboard's own queries. It is no
 * picture of Grafana: the titles, the queries, the legends and the units are those of the dashboard, the rest is ours.
 */
import type { Dashboard } from "@quorum/metrics"

/** One line of a panel: its legend, and its values by seconds since the epoch. */
export interface Line {
  readonly legend: string
  readonly points: ReadonlyArray<readonly [second: number, value: number]>
}

/** What is drawn. */
export interface Drawing {
  readonly rows: ReadonlyArray<{
    readonly title: string
    readonly panels: ReadonlyArray<{
      readonly title: string
      readonly unit: Dashboard.Panel["unit"]
      readonly lines: ReadonlyArray<Line>
    }>
  }>
  /** The time that is shown, in seconds since the epoch. */
  readonly from: number
  readonly to: number
  /** What happened, and when. */
  readonly marks: ReadonlyArray<{ readonly second: number; readonly text: string }>
}

/** A legend with the labels of a series in its places. */
export const legendOf = (template: string, labels: Readonly<Record<string, string>>): string =>
  template.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => labels[name] ?? "").trim()

/** Draws it. */
export const draw = (drawing: Drawing): string => {
  let y = 0
  const parts: Array<string> = []
  for (const { panels, title } of drawing.rows) {
    parts.push(text(12, y + 24, title, "row"))
    y += 36
    panels.forEach((panel, i) => {
      const left = (i % columns) * width
      const top = y + Math.floor(i / columns) * height
      parts.push(`<g transform="translate(${left} ${top})">${ofPanel(panel, drawing)}</g>`)
    })
    y += Math.ceil(panels.length / columns) * height
  }
  const size = `width="${columns * width}" height="${y}" viewBox="0 0 ${columns * width} ${y}"`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="10">`,
    `<style>${style}</style><rect width="100%" height="100%" fill="#fff"/>`,
    ...parts,
    "</svg>",
    ""
  ].join("\n")
}

/** A value as one reads it. */
export const readable = (value: number, unit: Dashboard.Panel["unit"]): string => {
  if (value === 0) return "0"
  if (unit === "percentunit") return `${digits(value * 100)} %`
  if (unit === "s" && Math.abs(value) < 1) return `${digits(value * 1000)} ms`
  if (unit === "s") return `${digits(value)} s`
  const isBytes = unit === "bytes" || unit === "Bps"
  const base = isBytes ? 1024 : 1000
  const names = isBytes ? ["B", "KiB", "MiB", "GiB", "TiB"] : ["", "k", "M", "G", "T"]
  const power = Math.min(4, Math.max(0, Math.floor(Math.log(Math.abs(value)) / Math.log(base))))
  const said = `${digits(value / base ** power)} ${names[power]}`.trim()
  return unit === "ops" || unit === "Bps" ? `${said}/s` : said
}

// ---------------------------------------------------------------------------------------------------------------------

const columns = 3
const width = 400
const height = 210
const plot = { left: 58, right: width - 12, top: 30, bottom: 130 }
const shown = 6

/** Values that are further apart, in seconds, have others between them that are missing. */
const longestStep = 1.5
const colors = ["#3274d9", "#e0752d", "#56a64b", "#8f3bb8", "#e02f44", "#1f9e9e", "#b8860b", "#777"]

const style =
  ".row{font-size:16px;font-weight:bold}.title{font-size:12px;font-weight:bold}.axis{fill:#666}.end{text-anchor:end}"

const text = (x: number, y: number, said: string, name: string): string =>
  `<text x="${x}" y="${y}" class="${name}">${escaped(said)}</text>`

const escaped = (said: string): string => said.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

const digits = (value: number): string => String(Number(value.toPrecision(3)))

type Panel = Drawing["rows"][number]["panels"][number]

/** What moves comes first, because there is not room for all legends. */
const bySpan = (lines: ReadonlyArray<Line>): ReadonlyArray<Line> => {
  const spanOf = ({ points }: Line): number => {
    const values = points.map(([, value]) => value)
    return Math.max(0, ...values) - Math.min(0, ...values) + (values.some((value) => value !== values[0]) ? 1e15 : 0)
  }
  return lines.toSorted((a, b) => spanOf(b) - spanOf(a))
}

const ofPanel = ({ lines: unordered, title, unit }: Panel, { from, marks, to }: Drawing): string => {
  const lines = bySpan(unordered)
  const values = lines.flatMap(({ points }) => points.map(([, value]) => value))
  const low = Math.min(0, ...values)
  const high = Math.max(0, ...values)
  const span = high - low || 1
  const x = (second: number): number =>
    Math.round((plot.left + ((second - from) / (to - from)) * (plot.right - plot.left)) * 10) / 10
  const y = (value: number): number =>
    Math.round((plot.bottom - ((value - low) / span) * (plot.bottom - plot.top)) * 10) / 10
  const path = (points: Line["points"]): string =>
    points
      .map(([second, value], i) => {
        // Where a replica did not answer, there is no line.
        const isNext = i > 0 && second - points[i - 1]![0] <= longestStep
        return `${isNext ? "L" : "M"}${x(second)} ${y(value)}`
      })
      .join("")
  const vertical = ({ second, text: said }: Drawing["marks"][number]): string =>
    `<path d="M${x(second)} ${plot.top}V${plot.bottom}" stroke="#999" stroke-dasharray="3 3"/>` +
    text(x(second) + 2, plot.top + 8, said, "axis")
  const legends = lines.slice(0, shown).map(({ legend }, i) => {
    const [left, top] = [plot.left + (i % 2) * 168, plot.bottom + 30 + Math.floor(i / 2) * 13]
    return `<rect x="${left}" y="${top - 7}" width="8" height="8" fill="${colors[i]}"/>${text(left + 12, top, legend, "")}`
  })
  const more = lines.length - shown
  return [
    `<rect x="4" y="4" width="${width - 8}" height="${height - 8}" fill="none" stroke="#ddd"/>`,
    text(12, 20, title, "title"),
    ...[low, low + span / 2, low + span].map(
      (value) =>
        `<path d="M${plot.left} ${y(value)}H${plot.right}" stroke="#eee"/>` +
        text(plot.left - 4, y(value) + 3, readable(value, unit), "axis end")
    ),
    ...[0, 0.5, 1].map((share) => {
      const second = from + share * (to - from)
      return text(x(second), plot.bottom + 14, `${Math.round(second - from)} s`, share === 1 ? "axis end" : "axis")
    }),
    ...marks.map(vertical),
    ...lines.map(
      ({ points }, i) =>
        `<path d="${path(points)}" fill="none" stroke="${colors[i % colors.length]}" stroke-width="1.3"/>`
    ),
    ...legends,
    ...(more > 0 ? [text(plot.left, plot.bottom + 69, `and ${more} more`, "axis")] : [])
  ].join("")
}
