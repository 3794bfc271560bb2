import { Entry, QuorumPolicy, QuorumWriter, Replica, ReplicaId, ReplicaSet } from "../../src/index.ts"
import { PeerTransport, RecordIndex, ReplicaStore } from "../../src/adapter.ts"
import { Effect, Layer, Result } from "effect"

const members = ["a", "b", "c"]
const policy = Result.getOrThrow(QuorumPolicy.majority(members.length))

/** A replica: swap the store, the index or the transport by swapping its layer. */
const replica = (self: string) =>
  PeerTransport.layerMemoryServer.pipe(
    Layer.provideMerge(Replica.layer({ policy })),
    Layer.provide([
      PeerTransport.layerMemory,
      RecordIndex.layerMemory,
      ReplicaStore.layerMemory({ cluster: "demo", replica: ReplicaId.make(self) })
    ]),
    Layer.provideMerge(ReplicaSet.layer({ cluster: "demo", self, members }))
  )

export const program = Effect.gen(function* () {
  yield* Layer.build(replica("b"))
  yield* Layer.build(replica("c"))
  const a = yield* Layer.build(replica("a"))
  const receipt = yield* Effect.provide(
    Effect.flatMap(QuorumWriter.QuorumWriter, (writer) => writer.commit(Entry.put("notes", "greeting", "hello"))),
    a
  )
  return receipt // { writeId: "a@…:1", acked: ["a", "b"], w: 2, n: 3 }
}).pipe(Effect.scoped, Effect.provide(PeerTransport.MemoryNetwork.layer))
