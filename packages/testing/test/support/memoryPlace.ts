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
    const state = { isDamaged: false }
    return StorePlace.StorePlace.of({
      open: (owner) =>
        Layer.effect(
          ReplicaStore.ReplicaStore,
          Effect.gen(function* () {
            store ??= yield* ReplicaStore.makeMemory(owner)
            return decorate(store)
          })
        ).pipe(Layer.merge(Layer.fresh(Layer.effect(RecordIndex.RecordIndex, index(state))))),
      damage: (log, seq) => Effect.sync(() => store?.damage(log, seq)),
      damageIndex: Effect.sync(() => void (state.isDamaged = true))
    })
  })

/** An index in memory, of which nothing can be read while it is damaged. */
const index = (state: { isDamaged: boolean }) =>
  Effect.map(RecordIndex.makeMemory, (index) => {
    const unless = <A>(read: Effect.Effect<A, ReplicaStore.StoreError>) =>
      Effect.suspend(() => (state.isDamaged ? Effect.fail(damage) : read))
    return RecordIndex.RecordIndex.of({
      ...index,
      get: (namespace, key) => unless(index.get(namespace, key)),
      scan: (options) => unless(index.scan(options)),
      reset: Effect.andThen(
        Effect.sync(() => void (state.isDamaged = false)),
        index.reset
      )
    })
  })

const damage = new ReplicaStore.StoreError({ reason: "corrupt", detail: "the index is damaged" })
