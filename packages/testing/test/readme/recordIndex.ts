import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { RecordIndexConformance, StorePlace } from "../../src/index.ts"
import { Effect, Layer } from "effect"

/** A new place for every case. The store of it may be any: here core's own, which the place keeps over a reopen. */
const place = Layer.sync(StorePlace.StorePlace, () => {
  let store: ReplicaStore.ReplicaStore["Service"] | undefined
  return {
    open: (owner) =>
      // An index of your own, which may ask the store whose it is, and how far its logs go.
      RecordIndex.layerMemory.pipe(
        Layer.provideMerge(
          Layer.effect(
            ReplicaStore.ReplicaStore,
            Effect.gen(function* () {
              return (store ??= yield* ReplicaStore.makeMemory(owner))
            })
          )
        )
      )
  }
})

RecordIndexConformance.suite("an index in memory", place, {
  skip: RecordIndexConformance.needDamage.map((name) => ({ case: name, reason: "a variable cannot be damaged" }))
})
