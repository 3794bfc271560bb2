/**
 * The metrics of a replica process, which can be switched on and off while it runs under load, so that both are measured
 * of the same process: its code is as compiled, its heap as full, and its disk as busy.
 */
import { ReplicaEvents, ReplicaStatus } from "@quorum/core"
import { Prometheus, ReplicaLog, ReplicaMetrics } from "@quorum/metrics"
import { ProcessMetrics } from "@quorum/metrics/node"
import { type Context, Effect, Exit, Layer, Metric, Scope } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"

/** What a process has spent and done until now. */
export interface Spent {
  /** Processor time of all its threads, in microseconds. */
  readonly cpuMicros: number
  /** The end of its own log. */
  readonly commits: number
}

/** Where they are switched, by POST, and what was spent is asked for. */
export const paths = { on: "/bench/metrics/on", off: "/bench/metrics/off", spent: "/bench/spent" } as const

/** Serves the metrics at `/metrics` while they are on, as `Prometheus.layer` does, and the paths of the switch. */
export const layer = (
  folder: string
): Layer.Layer<never, never, HttpRouter.HttpRouter | ReplicaEvents.ReplicaEvents | ReplicaStatus.ReplicaStatus> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const router = yield* HttpRouter.HttpRouter
      const events = yield* ReplicaEvents.ReplicaEvents
      const status = yield* ReplicaStatus.ReplicaStatus
      let current: { readonly scope: Scope.Closeable; readonly context: Context.Context<never> } | undefined

      const off = Effect.suspend(() => {
        const scope = current?.scope
        current = undefined
        return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
      })
      const on = Effect.gen(function* () {
        const scope = yield* Scope.make()
        const context = yield* recording(folder).pipe(
          Layer.provide(Layer.succeed(ReplicaEvents.ReplicaEvents, events)),
          Layer.provide(Layer.succeed(ReplicaStatus.ReplicaStatus, status)),
          Layer.buildWithScope(scope)
        )
        current = { scope, context }
      })
      const spent = Effect.sync((): Spent => {
        const { system, user } = process.cpuUsage()
        const { log, vector } = status.current()
        return { cpuMicros: system + user, commits: vector.find((held) => held.log === log)?.seq ?? 0 }
      })

      const done = HttpServerResponse.empty()
      yield* router.add("POST", paths.on, Effect.as(Effect.andThen(off, on), done))
      yield* router.add("POST", paths.off, Effect.as(off, done))
      yield* router.add("GET", paths.spent, Effect.map(spent, HttpServerResponse.jsonUnsafe))
      yield* router.add(
        "GET",
        "/metrics",
        Effect.sync(() =>
          current === undefined
            ? HttpServerResponse.empty({ status: 404 })
            : HttpServerResponse.text(Prometheus.format(current.context))
        )
      )
    })
  )

// ---------------------------------------------------------------------------------------------------------------------

/** All that `@quorum/metrics` records of a replica, in a registry that starts empty. */
const recording = (folder: string) =>
  Layer.mergeAll(ReplicaMetrics.layer, ProcessMetrics.layer({ folder }), ReplicaLog.layer()).pipe(
    Layer.provideMerge(Layer.sync(Metric.MetricRegistry, () => new Map())),
    Layer.fresh
  )
