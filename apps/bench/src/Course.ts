/**
 * What the points of one measurement say: pure functions.
 */
import type { Point } from "./Points.ts"
import { spread } from "./Statistics.ts"

/**
 * Throughput from one point to the next, in writes per second, at the later one. The first and the last point may come
 * right beside their neighbours; over so short a time throughput says nothing, and they are left out.
 */
export const rates = (points: ReadonlyArray<Point>): ReadonlyArray<{ second: number; writesPerSecond: number }> => {
  const steps = points.map(({ second, writes }, i) => {
    const before = points[i - 1] ?? { second: 0, writes: 0 }
    return { second, writes: writes - before.writes, seconds: second - before.second }
  })
  const usual = spread(steps.map(({ seconds }) => seconds)).median
  return steps
    .filter(({ seconds }) => seconds >= usual / 2)
    .map(({ second, seconds, writes }) => ({ second, writesPerSecond: writes / seconds }))
}

/** When so many writes were counted, in seconds, between two points by a straight line. */
export const secondOf = (points: ReadonlyArray<Point>, writes: number): number | undefined => {
  const i = points.findIndex((point) => point.writes >= writes)
  if (i === -1) return undefined
  const after = points[i]!
  const before = points[i - 1] ?? { second: 0, writes: 0 }
  if (after.writes === before.writes) return after.second
  return before.second + ((writes - before.writes) / (after.writes - before.writes)) * (after.second - before.second)
}

/** Throughput of every `size` writes, in the order of the log; what is left at the end is not a slice. */
export const slices = (
  points: ReadonlyArray<Point>,
  size: number
): ReadonlyArray<{ readonly writes: number; readonly writesPerSecond: number }> => {
  const found = []
  let from = 0
  for (let writes = size; ; writes += size) {
    const to = secondOf(points, writes)
    if (to === undefined) return found
    found.push({ writes, writesPerSecond: size / (to - from) })
    from = to
  }
}

/** How far the index was behind at most, in entries. */
export const highestDelay = (points: ReadonlyArray<Point>): number =>
  Math.max(...points.map(({ indexDelay }) => indexDelay ?? 0))

/**
 * How much of what is written the index does not get done: the growth of its delay from the second fifth of the time to
 * the last, as a share of the writes between. 0 is flat, 1 is an index that stands still. Undefined without an index.
 */
export const fallsBehind = (points: ReadonlyArray<Point>): number | undefined => {
  if (points.some(({ indexDelay }) => indexDelay === undefined)) return undefined
  const early = fifth(points, 1)
  const late = fifth(points, 4)
  if (early.length === 0 || late.length === 0) return undefined
  const middle = (some: ReadonlyArray<Point>, of: (point: Point) => number) => spread(some.map(of)).median
  const grown = middle(late, ({ indexDelay }) => indexDelay!) - middle(early, ({ indexDelay }) => indexDelay!)
  return grown / (middle(late, ({ writes }) => writes) - middle(early, ({ writes }) => writes))
}

/** Lowest and highest resident memory after the first fifth of the time, in MiB. */
export const memoryRange = (points: ReadonlyArray<Point>): { readonly min: number; readonly max: number } => {
  const settled = points.slice(Math.floor(points.length / 5)).map(({ rssMiB }) => rssMiB)
  return { min: Math.min(...settled), max: Math.max(...settled) }
}

/** The middle of the first fifth of what was seen over time, and that of the last. */
export const ends = (seen: ReadonlyArray<number>): { readonly first: number; readonly last: number } => ({
  first: spread(fifth(seen, 0)).median,
  last: spread(fifth(seen, 4)).median
})

/** A replica that was away: how many entries it held at which moment (milliseconds since the epoch). */
export interface Held {
  readonly at: number
  readonly held: number
}

/**
 * How a replica caught up while others wrote. `head` is what the others held when `points` began. The window reaches
 * from the first time it was seen to when it held all but `nearly` of what was written by then, or to the end.
 */
export const catchUp = (seen: ReadonlyArray<Held>, points: ReadonlyArray<Point>, head: number, nearly: number) => {
  const written = (at: number): number => {
    const i = points.findIndex((point) => point.at >= at)
    const after = points[i === -1 ? points.length - 1 : i]!
    const before = points[i - 1]
    if (i === -1 || before === undefined) return after.writes
    return before.writes + ((at - before.at) / (after.at - before.at)) * (after.writes - before.writes)
  }
  const first = seen[0]!
  const missingAt = ({ at, held }: Held): number => Math.max(0, head + written(at) - held)
  const caughtUp = seen.find((look) => missingAt(look) <= nearly)
  const last = caughtUp ?? seen[seen.length - 1]!
  const seconds = (last.at - first.at) / 1000
  return {
    seconds,
    done: caughtUp !== undefined,
    missing: missingAt(last),
    entriesPerSecond: (last.held - first.held) / seconds,
    writesPerSecond: (written(last.at) - written(first.at)) / seconds,
    p99: medianP99(points.filter(({ at }) => at > first.at && at <= last.at))
  }
}

/** The middle of the points' p99. */
export const medianP99 = (points: ReadonlyArray<Point>): number =>
  spread(points.flatMap(({ p99 }) => (p99 === undefined ? [] : [p99]))).median

// ---------------------------------------------------------------------------------------------------------------------

const fifth = <A>(values: ReadonlyArray<A>, n: number): ReadonlyArray<A> =>
  values.slice(Math.floor((values.length * n) / 5), Math.floor((values.length * (n + 1)) / 5))
