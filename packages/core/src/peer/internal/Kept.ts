/**
 * The record of what this replica has committed again: in its store, so that it is known after any restart.
 */
import { Effect } from "effect"
import type { LogId } from "../../identity/LogId.ts"
import type * as ReplicaStore from "../../log/ReplicaStore.ts"
import * as GivenUp from "../GivenUp.ts"
import * as Notes from "./membershipNotes.ts"

/** What was committed again. */
export type Kept = ReturnType<typeof make>

/** Begins with what was noted. */
export const make = (store: ReplicaStore.ReplicaStore["Service"], noted: ReadonlyArray<GivenUp.GivenUp>) => {
  let known = noted
  return {
    /** All that is remembered, the newest last. */
    all: (): ReadonlyArray<GivenUp.GivenUp> => known,
    /** Whether an entry of a log was committed again for such a reason. */
    has: (because: GivenUp.GivenUp["because"], log: LogId, seq: number): boolean =>
      known.some((each) => each.because === because && each.log === log && each.after < seq && seq <= each.upTo),
    /** Adds to the record; durable when it returns. */
    add: (more: GivenUp.GivenUp): Effect.Effect<void, ReplicaStore.StoreError> =>
      Effect.suspend(() => {
        known = GivenUp.added(known, more)
        return store.setNotes(Notes.encode({ givenUp: known }))
      })
  }
}
