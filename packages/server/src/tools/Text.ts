/**
 * How numbers and times are shown.
 */

/** A count with commas. */
export const number = (value: number): string => value.toLocaleString("en-US")

/** Milliseconds as seconds. */
export const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

/** Bytes, in KiB and its like from 1,024 on. */
export const bytes = (value: number): string => {
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10))
  return `${power === 0 ? number(value) : (value / 1024 ** power).toFixed(1)} ${units[power]!}`
}

/** A span of milliseconds, in the largest unit of which there are two. */
export const span = (millis: number): string => {
  const seconds = Math.max(0, Math.round(millis / 1000))
  const [length, unit] = spans.find(([length]) => seconds >= 2 * length) ?? [1, "s"]
  return `${Math.floor(seconds / length)} ${unit}`
}

// ---------------------------------------------------------------------------------------------------------------------

const units = ["B", "KiB", "MiB", "GiB", "TiB"]

const spans: ReadonlyArray<readonly [number, string]> = [
  [24 * 60 * 60, "days"],
  [60 * 60, "h"],
  [60, "min"]
]
