/**
 * What is said about several measurements: median and spread.
 */

/** The middle of several measurements, and how far they lie apart. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/**
 * Median and spread; of an even number of values the median is the mean of the middle two. All are NaN without values,
 * and when one of the values is: what one round did not find is not made up for by the others.
 */
export const spread = (values: ReadonlyArray<number>): Spread => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return sorted.length === 0 || sorted.some(Number.isNaN)
    ? { median: Number.NaN, min: Number.NaN, max: Number.NaN }
    : { median, min: sorted[0]!, max: sorted[sorted.length - 1]! }
}
