import { Entry, QuorumWriter, Replica, ReplicaSet } from "../../src/index.ts"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "../../src/adapter.ts"
import { Effect, Layer } from "effect"

const members = ["a", "b", "c"]

/** A replica: swap the store, the index or the transport by swapping its layer. */
const replica = (self: string) =>
  Replica.layer().pipe(
    MemoryNetwork.serve,
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
    Layer.provide(ReplicaSet.layer({ cluster: "demo", self, members }))
  )

export const program = Effect.gen(function* () {
  yield* Layer.build(replica("b"))
  yield* Layer.build(replica("c"))
  const a = yield* Layer.build(replica("a"))
  const receipt = yield* Effect.provide(
    Effect.flatMap(QuorumWriter.QuorumWriter, (writer) => writer.commit(Entry.put("notes", "greeting", "hello"))),
    a
  )
  return receipt // { writeId: "a@…:1", clock: …, policy: …, acked: [{ replica: "a", … }, …], missing: …, … }
}).pipe(Effect.scoped, Effect.provide(MemoryNetwork.layer))
