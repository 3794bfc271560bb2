/** Three replicas over real sockets on this machine, each exporting to a collector, on stores that can be slow. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { QuorumPolicy, QuorumWriter, Replica, ReplicaId, ReplicaSet, ReplicaStatus } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { ClientApiServer } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { FaultyReplicaStore } from "@quorum/testing"
import { WsNode } from "@quorum/ws/node"
import { Context, Effect, Exit, Layer, Logger, Metric, Result, Schedule, Scope } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter } from "effect/observability"
import { OtlpExport, ReplicaLog, ReplicaMetrics } from "../../src/index.ts"

const ids = ["a", "b", "c"]

/** How a replica is started. */
export interface Options {
  readonly transport: "ws" | "http"
  readonly url: string
  readonly traceShare?: number
}

/** Starts all of them, and waits until each can reach the others. */
export const make = Effect.fnUntraced(function* ({ transport, ...exported }: Options) {
  const ports = yield* Effect.all(ids.map(() => freePort))
  const urls = Object.fromEntries(ids.map((id, i) => [id, `${transport}://127.0.0.1:${ports[i]}`]))
  const replicas = yield* Effect.forEach(ids, (self, i) => start(self, ports[i]!, { transport, urls, ...exported }))
  const up = () => replicas.every(({ status }) => status().recovered && status().peers.every((p) => p.link === "up"))
  yield* until("all are up", up)
  const [a, b, c] = replicas as [Running, Running, Running]
  return { a, b, c, flush: Effect.forEach(replicas, ({ flush }) => flush) }
})

/** Waits until a condition holds, 20 seconds at most. */
export const until = (what: string, condition: () => boolean) =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.fail(what))).pipe(
    Effect.retry(Schedule.spaced(10)),
    Effect.timeoutOrElse({ duration: 20_000, orElse: () => Effect.die(`not within 20 s: ${what}`) }),
    Effect.orDie
  )

// ---------------------------------------------------------------------------------------------------------------------

type Running = Effect.Success<ReturnType<typeof start>>

const start = Effect.fnUntraced(function* (
  self: string,
  port: number,
  { transport, urls, ...exported }: Options & { readonly urls: Readonly<Record<string, string>> }
) {
  const faults = FaultyReplicaStore.faults()
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make(self) })
  const scope = yield* Scope.make()
  const routes = Layer.mergeAll(ClientApiServer.layer, ReplicaLog.layer({ every: 20 }), ReplicaMetrics.layer)
  const options = { peers: urls, port, routes, insecure: true }
  const policy = Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 2 }))
  const context = yield* Replica.layer({ policy }).pipe(
    transport === "ws" ? WsNode.serve(options) : HttpNode.serve(options),
    Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, FaultyReplicaStore.make(store, faults))),
    Layer.provide(RecordIndex.layerMemory),
    Layer.provideMerge(OtlpExport.layer(exported)),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self, members: ids })),
    Layer.provide([FetchHttpClient.layer, Logger.layer([]), Layer.succeed(Metric.MetricRegistry, new Map())]),
    Layer.buildWithScope(scope)
  )
  const stop = Scope.close(scope, Exit.void)
  yield* Effect.addFinalizer(() => stop)
  return {
    address: `http://127.0.0.1:${port}`,
    faults,
    stop,
    writer: Context.get(context, QuorumWriter.QuorumWriter),
    status: Context.get(context, ReplicaStatus.ReplicaStatus).current,
    flush: Context.get(context, OtlpExporter.Flusher).flush
  }
})

/** A port on which nobody listens. */
export const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})
