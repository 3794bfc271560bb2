/**
 * Core alone, as a process: three replicas in it, in memory, no disk and no sockets.
 */
import { setTimeout } from "node:timers/promises"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Replica, ReplicaSet } from "@quorum/core"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { OtlpExport, ReplicaLog, ReplicaMetrics } from "@quorum/metrics"
import { Effect, Exit, Layer, Metric, References, Scope } from "effect"
import * as Allocations from "./Allocations.ts"
import type { Run } from "./ClosedLoop.ts"
import * as CommitLoop from "./CommitLoop.ts"
import * as Lines from "./Lines.ts"

/** Where metrics, logs and traces are sent, in the runs that record traces, and how the writers wait. */
const { collector, waiting } = JSON.parse(process.argv[2]!) as {
  readonly collector?: string
  readonly waiting?: CommitLoop.Waiting
}
const cluster = "bench"
const members = ["a", "b", "c"]

const replica = (self: string) =>
  MemoryNetwork.layerServer.pipe(
    Layer.provideMerge(Replica.layer({ policy: CommitLoop.policy(members.length, 2) })),
    Layer.provide(MemoryNetwork.layerTransport),
    Layer.provideMerge(RecordIndex.layerMemory),
    Layer.provide(ReplicaStore.layerMemory),
    Layer.provideMerge(ReplicaSet.layer({ cluster, self, members }))
  )

/** All that `@quorum/metrics` records of a replica, in a registry of its own. */
const recording = Layer.merge(ReplicaMetrics.layer, ReplicaLog.layer()).pipe(
  Layer.provideMerge(Layer.sync(Metric.MetricRegistry, () => new Map())),
  Layer.fresh
)

/** A replica whose metrics, logs and traces are sent to a collector. All traces are sampled. */
const traced = (self: string, url: string) =>
  Layer.merge(ReplicaMetrics.layer, ReplicaLog.layer()).pipe(
    Layer.provideMerge(replica(self)),
    Layer.provide(OtlpExport.layer({ url })),
    Layer.provide(ReplicaSet.layer({ cluster, self, members })),
    Layer.provide(NodeHttpClient.layerUndici),
    Layer.provide(Layer.sync(Metric.MetricRegistry, () => new Map())),
    Layer.fresh
  )

const start = (layer: ReturnType<typeof replica>) =>
  Effect.gen(function* () {
    const services = yield* Layer.build(layer)
    const loop = yield* Effect.provide(CommitLoop.make(waiting), services)
    let scope: Scope.Closeable | undefined
    const setMetrics = Effect.fnUntraced(function* (on: boolean) {
      if (on === (scope !== undefined)) return
      if (scope !== undefined) yield* Scope.close(scope, Exit.void)
      scope = on ? yield* Scope.make() : undefined
      if (scope !== undefined) yield* Layer.buildWithScope(recording, scope).pipe(Effect.provide(services))
    })
    return { ...loop, setMetrics: (on: boolean) => Effect.runPromise(setMetrics(on)) }
  })

/** Three replicas, in a network of their own. */
const startAll = (layer: (self: string) => ReturnType<typeof replica>) =>
  Effect.gen(function* () {
    const b = yield* start(layer("b"))
    const c = yield* start(layer("c"))
    const a = yield* start(layer("a"))
    return [a, b, c] as const
  }).pipe(Effect.provide(Layer.fresh(MemoryNetwork.layer)))

Effect.gen(function* () {
  const plain = yield* startAll(replica)
  const sending = collector === undefined ? plain : yield* startAll((self) => traced(self, collector))

  const rest = async (replicas: typeof plain): Promise<void> => {
    const [first, ...others] = await Promise.all(replicas.map(({ status }) => status()))
    if (first!.indexDelay + others[0]!.indexDelay + others[1]!.indexDelay === 0) {
      if (others.every(({ held }) => held === first!.held)) return
    }
    await setTimeout(10)
    return rest(replicas)
  }

  Lines.serve(async (run: Run) => {
    const replicas = run.recorded === "metrics and traces" ? sending : plain
    await Promise.all(plain.map(({ setMetrics }) => setMetrics(run.recorded === "metrics")))
    const measuring = replicas[0].measure(run)
    await setTimeout(run.warmup * 1000)
    const allocated = Allocations.start()
    const sample = await measuring
    const bytes = allocated()
    await rest(replicas)
    return { ...sample, allocatedBytes: bytes / sample.writes }
  })
  return yield* Effect.never
}).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"), NodeRuntime.runMain)
