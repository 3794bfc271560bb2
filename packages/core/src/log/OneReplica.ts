/**
 * A store is that of one replica at a time: two that one program builds on it would each believe to know its end, and show
 * only what they have written themselves.
 */
import { Effect, type Scope } from "effect"
import * as ReplicaStore from "./ReplicaStore.ts"

/** Takes a store for a replica until the scope closes. Fails when another one of this program has it. */
export const claim = (
  store: ReplicaStore.ReplicaStore["Service"]
): Effect.Effect<void, ReplicaStore.StoreError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      if (taken.has(store)) return Effect.fail(new ReplicaStore.StoreError({ reason: "locked", detail }))
      taken.add(store)
      return Effect.void
    }),
    () => Effect.sync(() => taken.delete(store))
  )

// ---------------------------------------------------------------------------------------------------------------------

const taken = new WeakSet<ReplicaStore.ReplicaStore["Service"]>()

const detail =
  "another replica of this program is built on it; call Replica.layer once, and provide that one layer to all who use it"
