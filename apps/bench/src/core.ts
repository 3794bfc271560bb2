/**
 * Core alone, as a process: three replicas in it, in memory, no disk and no sockets.
 */
import { setTimeout } from "node:timers/promises"
import { NodeRuntime } from "@effect/platform-node"
import { Replica, ReplicaSet } from "@quorum/core"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { ReplicaLog, ReplicaMetrics } from "@quorum/metrics"
import { Effect, Exit, Layer, Metric, References, Scope } from "effect"
import * as Allocations from "./Allocations.ts"
import type { Run } from "./ClosedLoop.ts"
import * as CommitLoop from "./CommitLoop.ts"
import * as Lines from "./Lines.ts"

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

const start = (self: string) =>
  Effect.gen(function* () {
    const services = yield* Layer.build(replica(self))
    const loop = yield* Effect.provide(CommitLoop.make, services)
    let scope: Scope.Closeable | undefined
    const setMetrics = Effect.fnUntraced(function* (on: boolean) {
      if (on === (scope !== undefined)) return
      if (scope !== undefined) yield* Scope.close(scope, Exit.void)
      scope = on ? yield* Scope.make() : undefined
      if (scope !== undefined) yield* Layer.buildWithScope(recording, scope).pipe(Effect.provide(services))
    })
    return { ...loop, setMetrics: (on: boolean) => Effect.runPromise(setMetrics(on)) }
  })

Effect.gen(function* () {
  const b = yield* start("b")
  const c = yield* start("c")
  const a = yield* start("a")

  const rest = async (): Promise<void> => {
    const [first, ...others] = await Promise.all([a, b, c].map(({ status }) => status()))
    if (first!.indexDelay + others[0]!.indexDelay + others[1]!.indexDelay === 0) {
      if (others.every(({ held }) => held === first!.held)) return
    }
    await setTimeout(10)
    return rest()
  }

  Lines.serve(async (run: Run) => {
    await Promise.all([a, b, c].map(({ setMetrics }) => setMetrics(run.metrics ?? false)))
    const measuring = a.measure(run)
    await setTimeout(run.warmup * 1000)
    const allocated = Allocations.start()
    const sample = await measuring
    const bytes = allocated()
    await rest()
    return { ...sample, allocatedBytes: bytes / sample.writes }
  })
  return yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.provide(MemoryNetwork.layer),
  Effect.provideService(References.MinimumLogLevel, "None"),
  NodeRuntime.runMain
)
