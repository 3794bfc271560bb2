/**
 * What is said about several measurements: median and spread, and how sure the median is.
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

/**
 * The median, and the interval in which that of many more measurements would be, with 95 %: by bootstrap, which takes as
 * many of the values again and again at random, and looks how far the medians of those lie apart. The same values always
 * give the same interval.
 */
export const confidence = (values: ReadonlyArray<number>): { median: number; low: number; high: number } => {
  const next = random(values.length)
  const drawn = () => values.map(() => values[Math.floor(next() * values.length)]!)
  const medians = Array.from({ length: draws }, () => spread(drawn()).median).sort((a, b) => a - b)
  const { median } = spread(values)
  return { median, low: medians[Math.floor(draws * 0.025)]!, high: medians[Math.ceil(draws * 0.975) - 1]! }
}

// ---------------------------------------------------------------------------------------------------------------------

const draws = 10_000

/** Numbers from a seed, between 0 and 1. */
const random = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}
