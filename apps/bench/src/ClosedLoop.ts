/**
 * The closed loop that every system runs: each writer makes its next write when the last was answered. No framework
 * here, because the ceiling uses it too.
 */
import { createHistogram } from "node:perf_hooks"
import * as Points from "./Points.ts"
import * as Spent from "./Spent.ts"

/** A read of a record, as one replica has it or as everybody was told, or of a list. */
export type Reads = "local" | "linearizable" | "list"

/** What one measurement is asked to do. */
export interface Run {
  readonly writers: number
  /** Seconds before anything is counted. */
  readonly warmup: number
  /** How long to count. With `commits`, the longest. */
  readonly seconds: number
  /** Ends the measurement when so many writes were counted. */
  readonly commits?: number
  readonly valueBytes: number
  /** What is asked instead of a write; only of clients. A list has as many records as there are keys. */
  readonly reads?: Reads
  /** Keys are drawn at random from so many. */
  readonly keys: number
  /** What is recorded meanwhile, nothing unless given; only of core alone. */
  readonly recorded?: "metrics" | "metrics and traces" | undefined
  /** Looks at throughput, memory and delay so often, in milliseconds; never unless given. */
  readonly everyMillis?: number
}

/** What one measurement found. */
export interface Sample {
  readonly writes: number
  readonly failed: number
  /** The first failure, as text. */
  readonly failure: string | undefined
  /** How long it counted. */
  readonly seconds: number
  readonly writesPerSecond: number
  /** Latency in milliseconds, to three digits. */
  readonly p50: number
  readonly p99: number
  /** Processor time of this process per write, all its threads, in microseconds. */
  readonly cpuMicros: number
  /** How long the event loop of this process was held, at the slowest of a thousand looks, in milliseconds. */
  readonly heldP999: number
  /** The same at the slowest look. */
  readonly heldMost: number
  /** What this process handed to the disk per write, in bytes, as Linux counts it; absent elsewhere. */
  readonly writtenBytes?: number
  /** What this process allocated in V8's heap per write; only where that is measured. */
  readonly allocatedBytes?: number
  /** The course of it; empty unless it was asked for. */
  readonly points: ReadonlyArray<Points.Point>
}

/** "1 writer", "2 writers". */
export const inWords = (writers: number): string => `${writers} writer${writers === 1 ? "" : "s"}`

/** A random key of so many. */
export const randomKey = (keys: number): string => `key-${Math.floor(Math.random() * keys)}`

/**
 * Counts the answers of one measurement. It starts when this is called. Latencies go into a histogram of fixed size
 * (30 ns a value), so that memory over time is that of the system and not of its measurement.
 */
export const recorder = (run: Run, observe?: Points.Observe) => {
  const begin = performance.now() + run.warmup * 1000
  const limit = run.commits ?? Number.POSITIVE_INFINITY
  const latencies = createHistogram({ figures: 3 })
  let end = begin + run.seconds * 1000
  let writes = 0
  let failed = 0
  let failure: string | undefined
  let stop: (() => Spent.Spent) | undefined
  let spent: Spent.Spent | undefined
  const points =
    run.everyMillis === undefined ? undefined : Points.collect(run.everyMillis, begin, () => writes, observe)
  return {
    /** An answer to the write that was made at `startedAt` (performance.now()). Returns whether to go on. */
    answered: (startedAt: number, error?: string): boolean => {
      const now = performance.now()
      if (error !== undefined) {
        failed++
        failure ??= error
      }
      if (now < begin) return true
      stop ??= Spent.start()
      if (now < end) {
        if (error === undefined) {
          const nanos = Math.round((now - startedAt) * 1e6)
          latencies.record(Math.max(1, nanos))
          points?.latency(nanos)
          if (++writes === limit) end = now
        }
        return true
      }
      spent ??= stop()
      return false
    },
    /** What was found, after the last writer was told to stop. */
    sample: async (): Promise<Sample> => {
      const { cpuMicros, heldMost, heldP999, writtenBytes } = spent ?? nothing
      const seconds = (end - begin) / 1000
      return {
        writes,
        failed,
        failure,
        seconds,
        writesPerSecond: writes / seconds,
        p50: writes === 0 ? Number.NaN : latencies.percentile(50) / 1e6,
        p99: writes === 0 ? Number.NaN : latencies.percentile(99) / 1e6,
        cpuMicros: cpuMicros / writes,
        heldP999,
        heldMost,
        ...(writtenBytes === undefined ? {} : { writtenBytes: writtenBytes / writes }),
        points: (await points?.end()) ?? []
      }
    }
  }
}

const nothing: Spent.Spent = {
  cpuMicros: Number.NaN,
  heldP999: Number.NaN,
  heldMost: Number.NaN
}

/** Runs the loop with a promise per write. A failed write rejects; the writer goes on. */
export const run = async (options: Run, write: (key: string) => Promise<unknown>): Promise<Sample> => {
  const { answered, sample } = recorder(options)
  const writer = async (): Promise<void> => {
    while (true) {
      const startedAt = performance.now()
      const error = await write(randomKey(options.keys)).then(() => undefined, String)
      if (!answered(startedAt, error)) return
    }
  }
  await Promise.all(Array.from({ length: options.writers }, writer))
  return sample()
}
