/**
 * What the last round has left for another, and whether another would find more.
 */
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import type { Sweeps } from "../../peer/Sweeps.ts"
import type { Ends, Found } from "./round.ts"

type Clock = HybridLogicalClock.HybridLogicalClock

/** What rounds rest on. */
export interface Basis {
  /** Below it nothing unknown can appear. */
  readonly stable: () => Clock
  /** Deletes before it may be forgotten. */
  readonly forgettable: () => Clock | undefined
  readonly sweeps: Sweeps["Service"]
}

/** Nothing is known to be left before the first round. */
export const make = ({ forgettable, stable, sweeps }: Basis) => {
  /** What the last whole round rested on: as long as it is the same, another finds no more. */
  let lookedAt = ""
  let oldestDelete: Clock | undefined

  const isStable = (clock: Clock): boolean => HybridLogicalClock.compare(stable(), clock) > 0

  /** Whether a round would show that what the oldest delete deleted is gone. */
  const isToSweep = (): boolean =>
    oldestDelete !== undefined && isStable(oldestDelete) && HybridLogicalClock.compare(sweeps.own(), oldestDelete) <= 0

  const stateOf = (ends: Ends): string => {
    const { logical = 0, wallTime = 0 } = forgettable() ?? {}
    return `${Array.from(ends.values()).reduce((sum, seq) => sum + seq, 0)} ${wallTime}.${logical} ${isToSweep()}`
  }

  /** What waits can go by now: its frontier has moved, or its deletes are older than what all have swept. */
  const isWorthWaiting = (): boolean => {
    if (oldestDelete === undefined) return true
    const mayForget = forgettable() ?? HybridLogicalClock.zero
    return HybridLogicalClock.compare(oldestDelete, mayForget) < 0 || isToSweep()
  }

  return {
    /** A round went over all logs. */
    found: (found: Found): void => void (oldestDelete = found.oldestDelete),
    /** What it found still holds, and it rested on these ends. */
    holds: ({ hasUnsettled }: Found, ends: Ends): void => void (lookedAt = hasUnsettled ? "" : stateOf(ends)),
    /** Whether another would find more, though nothing new was written. */
    isMore: (ends: Ends): boolean => stateOf(ends) !== lookedAt && isWorthWaiting(),
    /** The members because of which the oldest delete that is stable is still there. */
    heldBackBy: (): ReadonlyArray<ReplicaId.ReplicaId> =>
      oldestDelete !== undefined && isStable(oldestDelete) ? sweeps.notBeyond(oldestDelete) : []
  }
}
