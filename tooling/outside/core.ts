// A user of @quorum/core alone: three replicas in one process.
import { Entry, QuorumPolicy, QuorumWriter, Replica, ReplicaId, ReplicaSet } from "@quorum/core"
import { PeerTransport, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer, Logger, Result } from "effect"

const members = ["a", "b", "c"]
const policy = Result.getOrThrow(QuorumPolicy.majority(members.length))

const replica = (self: string) =>
  PeerTransport.layerMemoryServer.pipe(
    Layer.provideMerge(Replica.layer({ policy })),
    Layer.provide([
      PeerTransport.layerMemory,
      RecordIndex.layerMemory,
      ReplicaStore.layerMemory({ cluster: "outside", replica: ReplicaId.make(self) })
    ]),
    Layer.provideMerge(ReplicaSet.layer({ cluster: "outside", self, members }))
  )

const program = Effect.gen(function* () {
  yield* Layer.build(Layer.mergeAll(replica("b"), replica("c")))
  const writer = yield* QuorumWriter.QuorumWriter
  const receipt = yield* writer.commit(Entry.put("notes", "greeting", "hello"))
  return `committed on ${receipt.acked.length} of ${receipt.n}`
}).pipe(Effect.provide(replica("a")), Effect.scoped, Effect.provide(PeerTransport.MemoryNetwork.layer))

console.log(await Effect.runPromise(Effect.provide(program, Logger.layer([]))))
