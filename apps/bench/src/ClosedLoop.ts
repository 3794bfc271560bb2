/**
 * The closed loop that every system runs: each writer makes its next write when the last was answered. No framework
 * here, because the ceiling uses it too.
 */
import { percentile } from "./Statistics.ts"

/** What one measurement is asked to do. */
export interface Run {
  readonly writers: number
  /** Seconds before anything is counted. */
  readonly warmup: number
  readonly seconds: number
  readonly valueBytes: number
}

/** What one measurement found. */
export interface Sample {
  readonly writes: number
  readonly failed: number
  /** The first failure, as text. */
  readonly failure: string | undefined
  readonly writesPerSecond: number
  /** Latency in milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Processor time of this process per write, all its threads, in microseconds. */
  readonly cpuMicros: number
}

/** Keys are drawn from so many, the same for all systems. */
const keys = 100_000

/** A random key. */
export const randomKey = (): string => `key-${Math.floor(Math.random() * keys)}`

/** Counts the answers of one measurement. It starts when this is called. */
export const recorder = ({ seconds, warmup }: Run) => {
  const begin = performance.now() + warmup * 1000
  const end = begin + seconds * 1000
  const latencies: Array<number> = []
  let failed = 0
  let failure: string | undefined
  let cpuAtBegin: NodeJS.CpuUsage | undefined
  let cpu: NodeJS.CpuUsage | undefined
  return {
    /** An answer to the write that was made at `startedAt` (performance.now()). Returns whether to go on. */
    answered: (startedAt: number, error?: string): boolean => {
      const now = performance.now()
      if (error !== undefined) {
        failed++
        failure ??= error
      }
      if (now < begin) return true
      cpuAtBegin ??= process.cpuUsage()
      if (now < end) {
        if (error === undefined) latencies.push(now - startedAt)
        return true
      }
      cpu ??= process.cpuUsage(cpuAtBegin)
      return false
    },
    /** What was found, after the end. */
    sample: (): Sample => {
      const sorted = Float64Array.from(latencies).sort()
      const { system, user } = cpu ?? { system: Number.NaN, user: Number.NaN }
      return {
        writes: sorted.length,
        failed,
        failure,
        writesPerSecond: sorted.length / seconds,
        p50: percentile(sorted, 0.5),
        p99: percentile(sorted, 0.99),
        cpuMicros: (system + user) / sorted.length
      }
    }
  }
}

/** Runs the loop with a promise per write. A failed write rejects; the writer goes on. */
export const run = async (options: Run, write: (key: string) => Promise<unknown>): Promise<Sample> => {
  const { answered, sample } = recorder(options)
  const writer = async (): Promise<void> => {
    while (true) {
      const startedAt = performance.now()
      const error = await write(randomKey()).then(() => undefined, String)
      if (!answered(startedAt, error)) return
    }
  }
  await Promise.all(Array.from({ length: options.writers }, writer))
  return sample()
}
