/**
 * The metrics of a replica's process and of its disk, read when somebody asks.
 */
import { readdirSync, statfsSync, statSync } from "node:fs"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect, Layer } from "effect"
import * as Series from "./internal/Series.ts"

/** What is watched. */
export interface Options {
  /** The replica's folder. */
  readonly folder: string
}

/** Watches until the scope closes. */
export const layer = ({ folder }: Options): Layer.Layer<never> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const series = Series.make(yield* Effect.context<never>())
      // One is looked at while the next one begins: a late timer shows for a minute, whenever it was.
      let delay = startDelay()
      let next = startDelay()
      series.gauge("eventLoopDelay", () => late(delay.percentile(99)))
      series.gauge("eventLoopDelayMax", () => late(delay.max))
      series.gauge("storeSize", () => sizeOf(folder))
      series.gauge("diskFree", () => disk(folder, "bavail"))
      series.gauge("diskSize", () => disk(folder, "blocks"))
      const turn = Effect.sync(() => {
        delay.reset()
        ;[delay, next] = [next, delay]
      })
      yield* turn.pipe(Effect.delay(windowMillis), Effect.forever, Effect.forkScoped)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          delay.disable()
          next.disable()
          series.close()
        })
      )
    })
  )

// ---------------------------------------------------------------------------------------------------------------------

const resolutionMillis = 10
const windowMillis = 60_000

const startDelay = () => {
  const delay = monitorEventLoopDelay({ resolution: resolutionMillis })
  delay.enable()
  return delay
}

/** The timer that measures is itself due only so often. `max` and percentiles are odd before the first measurement. */
const late = (nanos: number): number =>
  Number.isFinite(nanos) ? Math.max(0, nanos / 1e6 - resolutionMillis) / 1000 : 0

/** NaN, as Prometheus says it, when the folder cannot be looked at. */
const attempt = (look: () => number): number => {
  try {
    return look()
  } catch {
    return Number.NaN
  }
}

const disk = (folder: string, what: "bavail" | "blocks"): number =>
  attempt(() => {
    const found = statfsSync(folder)
    return found[what] * found.bsize
  })

const sizeOf = (folder: string): number =>
  attempt(() => readdirSync(folder).reduce((sum, name) => sum + bytesOf(join(folder, name)), 0))

/** A file may go while one looks. */
const bytesOf = (file: string): number => {
  const found = statSync(file, { throwIfNoEntry: false })
  return found?.isFile() === true ? found.size : 0
}
