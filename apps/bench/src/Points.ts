/**
 * The course of one measurement: what was counted by when, and the memory and delays at that moment.
 */
import { createHistogram } from "node:perf_hooks"

/** One moment of a measurement. */
export interface Point {
  /** Milliseconds since the epoch, to compare with what other processes saw. */
  readonly at: number
  /** Since counting began. */
  readonly second: number
  /** All writes that were counted until then. */
  readonly writes: number
  /** Latency in milliseconds of the writes since the last point; absent when there were none. */
  readonly p99: number | undefined
  /** Memory of this process, as the operating system sees it, in MiB. */
  readonly rssMiB: number
  /** Memory that V8 uses in its heap, garbage included, in MiB. */
  readonly heapMiB: number
  /** Entries that are appended here and not yet covered by the record index. */
  readonly indexDelay?: number
  /** Entries of this replica's log that the peer which has the fewest is not known to hold. */
  readonly lag?: number
}

/** Asks a system for what only it knows. */
export type Observe = () => Promise<Pick<Point, "indexDelay" | "lag">>

/** The memory of this process in MiB. */
export const memory = (): Pick<Point, "rssMiB" | "heapMiB"> => {
  const { heapUsed, rss } = process.memoryUsage()
  return { rssMiB: rss / 2 ** 20, heapMiB: heapUsed / 2 ** 20 }
}

/** Makes a point every so many milliseconds from `begin` (performance.now()) on, until it is ended. */
export const collect = (everyMillis: number, begin: number, writes: () => number, observe?: Observe) => {
  const points: Array<Point> = []
  const latencies = createHistogram({ figures: 3 })
  let pending = Promise.resolve()
  const look = (): void => {
    const second = (performance.now() - begin) / 1000
    if (second < 0) return
    const p99 = latencies.count === 0 ? undefined : latencies.percentile(99) / 1e6
    latencies.reset()
    const point = { at: Date.now(), second, writes: writes(), p99, ...memory() }
    // One after the other, so that a slow answer does not pile up questions.
    pending = pending.then(async () => void points.push({ ...point, ...(await observe?.()) }))
  }
  const timer = setInterval(look, everyMillis)
  return {
    latency: (nanos: number): void => latencies.record(Math.max(1, nanos)),
    end: async (): Promise<ReadonlyArray<Point>> => {
      clearInterval(timer)
      look()
      await pending
      return points
    }
  }
}
