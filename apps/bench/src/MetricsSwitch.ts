/**
 * The metrics of a replica process, which can be switched on and off while it runs, so that both are measured of the
 * same process: its code is as compiled, its heap as full, and its disk as busy.
 */
import type { ReplicaEvents, ReplicaStatus } from "@quorum/core"
import { Prometheus, ReplicaLog, ReplicaMetrics } from "@quorum/metrics"
import { ProcessMetrics } from "@quorum/metrics/node"
import { type Context, Effect, Exit, Layer, Metric, Scope } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"

type Replica = ReplicaEvents.ReplicaEvents | ReplicaStatus.ReplicaStatus

/** Makes a switch, off. */
export const make = (folder: string) => {
  let current: { readonly scope: Scope.Closeable; readonly context: Context.Context<never> } | undefined
  const answer = Effect.sync(() =>
    current === undefined
      ? HttpServerResponse.empty({ status: 404 })
      : HttpServerResponse.text(Prometheus.format(current.context))
  )
  const off = Effect.suspend(() => {
    const scope = current?.scope
    current = undefined
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })
  const on = Effect.gen(function* () {
    const scope = yield* Scope.make()
    const context = yield* layer(folder).pipe(Layer.buildWithScope(scope))
    current = { scope, context }
  })
  return {
    /** Serves them at `/metrics`, as `Prometheus.layer` does, while they are on. */
    route: HttpRouter.use((router) => router.add("GET", "/metrics", answer)),
    set: (wanted: boolean): Effect.Effect<void, never, Replica> => Effect.andThen(off, wanted ? on : Effect.void)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** All that `@quorum/metrics` records of a replica, in a registry that starts empty. */
const layer = (folder: string) =>
  Layer.mergeAll(ReplicaMetrics.layer, ProcessMetrics.layer({ folder }), ReplicaLog.layer()).pipe(
    Layer.provideMerge(Layer.sync(Metric.MetricRegistry, () => new Map())),
    Layer.fresh
  )
