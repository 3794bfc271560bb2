/**
 * What is said about many measurements: percentiles of one run, median and spread of several.
 */

/** The value below which the share `q` of the sorted values lies (nearest rank); NaN without values. */
export const percentile = (sorted: ArrayLike<number>, q: number): number =>
  sorted.length === 0 ? Number.NaN : sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!

/** The middle of several measurements, and how far they lie apart. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Median and spread; of an even number of values the median is the mean of the middle two. */
export const spread = (values: ReadonlyArray<number>): Spread => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return sorted.length === 0
    ? { median: Number.NaN, min: Number.NaN, max: Number.NaN }
    : { median, min: sorted[0]!, max: sorted[sorted.length - 1]! }
}
