/**
 * The note of how far the clock of this replica may have been, by which a start goes on after all that was stamped or held
 * before. It is ahead of the clock, so that it is written once in a while.
 */
import { Effect, Option } from "effect"
import * as HybridLogicalClock from "./HybridLogicalClock.ts"
import type * as ReplicaStore from "./ReplicaStore.ts"

/** Begins with what is noted. */
export const make = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"]) {
  const noted = (name: string) => Effect.map(store.note(name), Option.match({ onNone: () => 0, onSome: Number }))
  const wallTime = yield* noted(name)
  let ceiling: HybridLogicalClock.HybridLogicalClock = {
    wallTime,
    logical: isEnd(wallTime) ? yield* noted(endName) : 0
  }
  /** What was noted last: it may not be durable yet. Logs are appended to at once, and no later note says less. */
  let asked = ceiling
  return {
    /** No entry that is held has a later clock than before this, unless its keys are kept. */
    ceiling: (): HybridLogicalClock.HybridLogicalClock => ceiling,
    /** Notes that entries up to this clock may be held, together with other notes. */
    raise: (highest: HybridLogicalClock.HybridLogicalClock, notes: Readonly<Record<string, string>> = {}) => {
      const next = HybridLogicalClock.compare(highest, asked) < 0 ? asked : after(highest)
      asked = next
      const end = isEnd(next.wallTime) ? { [endName]: `${next.logical}` } : {}
      return Effect.map(store.setNotes({ ...notes, ...end, [name]: `${next.wallTime}` }), () => {
        if (HybridLogicalClock.compare(next, ceiling) > 0) ceiling = next
      })
    },
    /** Notes exactly where the clock is, when nothing is stamped any more in this run. */
    end: ({ wallTime }: HybridLogicalClock.HybridLogicalClock): Effect.Effect<void> =>
      wallTime + 1 >= ceiling.wallTime ? Effect.void : Effect.ignore(store.setNotes({ [name]: `${wallTime + 1}` }))
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const name = "clock"

/** The note of the logical part, which matters at the end of the range alone: there no later wall time is. */
const endName = "clockEnd"

const isEnd = (wallTime: number): boolean => wallTime === HybridLogicalClock.maxWallTime

/** How far ahead of the clock the note is, in milliseconds: it is written at most so often. */
const stepMillis = 250

/** How many stamps of one wall time the note is ahead at the end of the range. */
const stepStamps = 65_536

const after = ({ logical, wallTime }: HybridLogicalClock.HybridLogicalClock): HybridLogicalClock.HybridLogicalClock =>
  isEnd(wallTime)
    ? { wallTime, logical: Math.min(logical + stepStamps, HybridLogicalClock.maxLogical) }
    : { wallTime: Math.min(wallTime + stepMillis, HybridLogicalClock.maxWallTime), logical: 0 }
