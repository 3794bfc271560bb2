import { Entry, QuorumPolicy, QuorumWriter, Replica, ReplicaSet } from "@quorum/core"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Faults, FaultyPeerTransport } from "../../src/index.ts"
import { Context, Effect, Layer, Result } from "effect"

const members = ["a", "b", "c"]
const policy = Result.getOrThrow(QuorumPolicy.majority(3))

/** A replica whose calls to its peers go over a bad network. */
const replica = (self: string, faults: FaultyPeerTransport.LinkFaults) =>
  MemoryNetwork.layerServer.pipe(
    Layer.provideMerge(Replica.layer({ policy })),
    Layer.provide(FaultyPeerTransport.layer(faults).pipe(Layer.provide(MemoryNetwork.layerTransport))),
    Layer.provide(RecordIndex.layerMemory),
    Layer.provide(ReplicaStore.layerMemory),
    Layer.provideMerge(ReplicaSet.layer({ cluster: "test", self, members }))
  )

/** Commits a hundred writes while requests are doubled, late and overtaken, and proves that they were. */
export const program = Effect.gen(function* () {
  const plan = Faults.seeded(42, [
    [0.3, FaultyPeerTransport.duplicate],
    [0.2, FaultyPeerTransport.delay(5)],
    [0.1, FaultyPeerTransport.reorder()]
  ])
  const faults = FaultyPeerTransport.faults(plan)
  for (const peer of ["b", "c"]) yield* Layer.build(replica(peer, FaultyPeerTransport.faults()))
  const writer = Context.get(yield* Layer.build(replica("a", faults)), QuorumWriter.QuorumWriter)
  const receipts = yield* Effect.forEach(Array.from({ length: 100 }), (_, i) =>
    writer.commit(Entry.put("notes", `key ${i}`, "hello"))
  )
  return { receipts, duplicated: faults.count("Duplicate"), delayed: faults.count("Delay") }
}).pipe(Effect.scoped, Effect.provide(MemoryNetwork.layer))
