import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { ReplicaStoreConformance, StorePlace } from "../../src/index.ts"
import { Effect, Layer } from "effect"

/** A new place for every case: for you an empty folder or schema, here a variable. */
const place = Layer.sync(StorePlace.StorePlace, () => {
  let store: ReplicaStore.MemoryStore | undefined
  return {
    open: (owner) =>
      Layer.merge(
        Layer.effect(
          ReplicaStore.ReplicaStore,
          Effect.gen(function* () {
            return (store ??= yield* ReplicaStore.makeMemory(owner))
          })
        ),
        RecordIndex.layerMemory
      ),
    damage: (log, seq) => Effect.sync(() => store?.damage(log, seq))
  }
})

ReplicaStoreConformance.suite("a store in memory", place, {
  skip: [
    {
      case: "a second open fails as locked while the first goes on, and succeeds when the first is closed",
      reason: "a variable belongs to one process"
    },
    {
      case: "opened for another replica or replica set it fails as wrong_identity, and stays as it was",
      reason: "a variable belongs to one program"
    },
    { case: "a call after it was closed fails as unavailable", reason: "a variable cannot be closed" }
  ]
})
