/**
 * Why something could not be read, as long as it has not been since. A fault that passes has to show as passed also where
 * nobody reads: everybody stays away from a replica with a fault. So what failed is tried again every second.
 */
import { Effect, Latch, type Scope } from "effect"
import type { StoreError } from "./ReplicaStore.ts"

/** A fault that may pass. */
export interface PassingFault {
  /** The fault, while there is one. */
  readonly current: () => StoreError | undefined
  /** Something failed; `again` is the same once more, and says here how that went. */
  readonly failed: (error: StoreError, again: Effect.Effect<unknown, StoreError>) => void
  /** Something worked. */
  readonly passed: () => void
}

/** Starts without a fault. */
export const make: Effect.Effect<PassingFault, never, Scope.Scope> = Effect.gen(function* () {
  let fault: { readonly error: StoreError; readonly again: Effect.Effect<unknown, StoreError> } | undefined
  const failed = Latch.makeUnsafe(false)
  yield* Effect.gen(function* () {
    while (true) {
      yield* failed.await
      failed.closeUnsafe()
      while (fault !== undefined) {
        yield* Effect.sleep(pauseMillis)
        if (fault !== undefined) yield* Effect.ignore(fault.again)
      }
    }
  }).pipe(Effect.forkScoped)
  return {
    current: () => fault?.error,
    failed: (error, again) => {
      fault = { error, again }
      failed.openUnsafe()
    },
    passed: () => void (fault = undefined)
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const pauseMillis = 1000
