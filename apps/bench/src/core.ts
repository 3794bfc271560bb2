/**
 * Core alone, as a process: three replicas in it, in memory, no disk and no sockets.
 */
import { setTimeout } from "node:timers/promises"
import { NodeRuntime } from "@effect/platform-node"
import { Replica, ReplicaSet } from "@quorum/core"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer, References } from "effect"
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

const start = (self: string) =>
  Effect.flatMap(Layer.build(replica(self)), (services) => Effect.provide(CommitLoop.make, services))

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
