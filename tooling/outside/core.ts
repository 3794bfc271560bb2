// A user of @quorum/core alone: three replicas in one process.
import { Entry, QuorumWriter, Replica, ReplicaSet } from "@quorum/core"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer, Logger } from "effect"

const members = ["a", "b", "c"]

const replica = (self: string) =>
  Replica.layer().pipe(
    MemoryNetwork.serve,
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
    Layer.provide(ReplicaSet.layer({ cluster: "outside", self, members }))
  )

const program = Effect.gen(function* () {
  yield* Layer.build(Layer.mergeAll(replica("b"), replica("c")))
  const writer = yield* QuorumWriter.QuorumWriter
  const receipt = yield* writer.commit(Entry.put("notes", "greeting", "hello"))
  return `committed on ${receipt.acked.length} of ${receipt.policy.n}`
}).pipe(Effect.provide(replica("a")), Effect.scoped, Effect.provide(MemoryNetwork.layer))

console.log(await Effect.runPromise(Effect.provide(program, Logger.layer([]))))
