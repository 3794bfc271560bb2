/** The stores in memory, kept by whoever made the place: what a reopen finds is what is still referred to. */
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer } from "effect"
import { StorePlace } from "../../src/index.ts"

/** A place whose store is made on the first open, decorated on every open. */
export const place = (
  decorate: (store: ReplicaStore.ReplicaStore["Service"]) => ReplicaStore.ReplicaStore["Service"] = (store) => store
): Layer.Layer<StorePlace.StorePlace> =>
  Layer.sync(StorePlace.StorePlace, () => {
    let store: ReplicaStore.MemoryStore | undefined
    return StorePlace.StorePlace.of({
      open: (owner) =>
        Layer.effect(
          ReplicaStore.ReplicaStore,
          Effect.gen(function* () {
            store ??= yield* ReplicaStore.makeMemory(owner)
            return decorate(store)
          })
        ).pipe(Layer.merge(RecordIndex.layerMemory)),
      damage: (log, seq) => Effect.sync(() => store?.damage(log, seq))
    })
  })
