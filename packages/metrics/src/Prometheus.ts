/**
 * The metrics as Prometheus reads them, at `/metrics`.
 */
import type { ReplicaEvents, ReplicaStatus } from "@quorum/core"
import { ReplicaServer } from "@quorum/core/adapter"
import { type Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import * as Definitions from "./Definitions.ts"
import * as ReplicaMetrics from "./ReplicaMetrics.ts"

/** All metrics in the registry of a context as text; the application's own are among them, by their own names. */
export const format = (context: Context.Context<never>): string =>
  PrometheusMetrics.formatUnsafe(context, { metricNameMapper: (name) => names.get(name) ?? name })

/** Where the metrics are served. */
export interface Options {
  /** `/metrics` unless given. */
  readonly path?: `/${string}`
}

/** A route that answers with the metrics of the registry that the layer is built with. Whoever reaches it may read it. */
export const route = ({ path = "/metrics" }: Options = {}): Layer.Layer<never, never, HttpRouter.HttpRouter> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const router = yield* HttpRouter.HttpRouter
      const context = yield* Effect.context<never>()
      const answer = Effect.sync(() => HttpServerResponse.text(format(context), { contentType }))
      yield* router.add(
        "GET",
        path,
        ReplicaServer.exactly(path, () => answer)
      )
    })
  )

/**
 * Records the metrics of a replica and serves them, beside what else is served:
 * `HttpNode.serve({ …, routes: Layer.merge(ClientApiServer.layer, Prometheus.layer()) })`.
 */
export const layer = (
  options?: Options
): Layer.Layer<never, never, HttpRouter.HttpRouter | ReplicaEvents.ReplicaEvents | ReplicaStatus.ReplicaStatus> =>
  Layer.merge(ReplicaMetrics.layer, route(options))

// ---------------------------------------------------------------------------------------------------------------------

const contentType = "text/plain; version=0.0.4; charset=utf-8"

/** Effect writes names as they are; Prometheus wants units and `_total` in them. */
const names = new Map(
  Definitions.all.map((definition) => [definition.name, Definitions.prometheusName(definition)] as const)
)
