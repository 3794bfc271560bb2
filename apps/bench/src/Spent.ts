/**
 * What a process spends while something runs in it: processor time, how long its event loop is held, what goes to disk.
 * No framework here, because the ceiling is measured with it too.
 */
import { readFileSync } from "node:fs"
import { monitorEventLoopDelay } from "node:perf_hooks"

/** What was spent. */
export interface Spent {
  /** Processor time of all threads, in microseconds. */
  readonly cpuMicros: number
  /** How long the event loop was held, at the slowest of a thousand looks and at the slowest, in milliseconds. */
  readonly heldP999: number
  readonly heldMost: number
  /** Bytes handed to the disk, as Linux counts them; absent elsewhere. */
  readonly writtenBytes?: number
}

/** Starts to count; returns how to stop, and learn what was spent. */
export const start = (): (() => Spent) => {
  const cpu = process.cpuUsage()
  const before = written()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  return () => {
    delay.disable()
    const { system, user } = process.cpuUsage(cpu)
    return {
      cpuMicros: system + user,
      heldP999: millis(delay.percentile(99.9)),
      heldMost: millis(delay.max),
      ...(before === undefined ? {} : { writtenBytes: written()! - before })
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** A timer of a millisecond is late by one when nothing holds it. */
const millis = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - 1)

const written = (): number | undefined => {
  try {
    return Number(/^write_bytes: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))![1])
  } catch {
    return undefined
  }
}
