/**
 * Core alone, as a process: three replicas in it, in memory, no disk and no sockets.
 */
import { NodeRuntime } from "@effect/platform-node"
import { PeerTransport, RecordIndex, Replica, ReplicaId, ReplicaSet, ReplicaStore } from "@quorum/core"
import { Effect, Layer, References } from "effect"
import * as CommitLoop from "./CommitLoop.ts"
import * as Lines from "./Lines.ts"

const cluster = "bench"
const members = ["a", "b", "c"]

const replica = (self: string) =>
  PeerTransport.layerMemoryServer.pipe(
    Layer.provideMerge(Replica.layer({ policy: CommitLoop.policy(2) })),
    Layer.provide([
      PeerTransport.layerMemory,
      RecordIndex.layerMemory,
      ReplicaStore.layerMemory({ cluster, replica: ReplicaId.make(self) })
    ]),
    Layer.provideMerge(ReplicaSet.layer({ cluster, self, members }))
  )

Effect.gen(function* () {
  yield* Layer.build(replica("b"))
  yield* Layer.build(replica("c"))
  const services = yield* Layer.build(replica("a"))
  Lines.serve(yield* Effect.provide(CommitLoop.make, services))
  return yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.provide(PeerTransport.MemoryNetwork.layer),
  Effect.provideService(References.MinimumLogLevel, "None"),
  NodeRuntime.runMain
)
