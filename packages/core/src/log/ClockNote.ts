/**
 * The note of how far the clock of this replica may have been, by which a start goes on after all that was stamped or held
 * before. It is ahead of the clock, so that it is written once in a while.
 */
import { Effect, Option } from "effect"
import * as HybridLogicalClock from "./HybridLogicalClock.ts"
import type * as ReplicaStore from "./ReplicaStore.ts"

/** Begins with what is noted. */
export const make = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"]) {
  let ceiling = Option.match(yield* store.note(name), { onNone: () => 0, onSome: Number })
  return {
    /** No entry that is held has a later wall time than before this, unless its keys are kept. */
    ceiling: (): number => ceiling,
    /** Notes that entries up to this wall time may be held, together with other notes. */
    raise: (wallTime: number, notes: Readonly<Record<string, string>> = {}) => {
      const next = wallTime < ceiling ? ceiling : Math.min(wallTime + stepMillis, HybridLogicalClock.maxWallTime)
      return Effect.map(store.setNotes({ ...notes, [name]: `${next}` }), () => {
        ceiling = Math.max(ceiling, next)
      })
    },
    /** Notes exactly where the clock is, when nothing is stamped any more in this run. */
    end: ({ wallTime }: HybridLogicalClock.HybridLogicalClock): Effect.Effect<void> =>
      wallTime + 1 >= ceiling ? Effect.void : Effect.ignore(store.setNotes({ [name]: `${wallTime + 1}` }))
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const name = "clock"

/** How far ahead of the clock the note is, in milliseconds: it is written at most so often. */
const stepMillis = 250
