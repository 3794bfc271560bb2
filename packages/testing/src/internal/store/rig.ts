/** What the store's cases share: opening the store of a place, and whose it is. */
import { type LogId, ReplicaId } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { type Owner, StorePlace } from "../../StorePlace.ts"

export const owner: Owner = { cluster: "conformance", replica: ReplicaId.make("a") }
export const logA = "a@9f3c52d0b1e44a07" as LogId.LogId
export const logB = "b@0000000000000001" as LogId.LogId
export const logC = "c@00000000000000c0" as LogId.LogId

/** An open store, and how it is closed before the case ends. */
export interface Open {
  readonly store: ReplicaStore.ReplicaStore["Service"]
  readonly index: RecordIndex.RecordIndex["Service"]
  readonly close: Effect.Effect<void>
}

/** Opens the store of the place until it is closed, or the case ends. */
export const open = (as: Owner = owner): Effect.Effect<Open, ReplicaStore.StoreError, StorePlace | Scope.Scope> =>
  Effect.gen(function* () {
    const place = yield* StorePlace
    const scope = yield* Effect.flatMap(Effect.scope, (parent) => Scope.fork(parent))
    const context = yield* Layer.buildWithScope(Layer.fresh(place.open(as)), scope)
    return {
      store: Context.get(context, ReplicaStore.ReplicaStore),
      index: Context.get(context, RecordIndex.RecordIndex),
      close: Scope.close(scope, Exit.void)
    }
  })

/** Opens the store, uses it, and closes it. */
export const using = <A, E, R>(use: (opened: Open) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(open(), (opened) => Effect.ensuring(use(opened), opened.close))
