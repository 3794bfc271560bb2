/**
 * Whether the disk answers. A disk that stands still shows nowhere else while it does: what waits for it fails late or not
 * at all, and what is measured of appends is known when they have ended.
 */
import { type Clock, Effect } from "effect"
import type * as LogId from "../identity/LogId.ts"
import * as Monotonic from "./Monotonic.ts"

/** Begins with nothing that waits. Times are of the monotonic clock. */
export const make = (time: Clock.Clock) => {
  /** The appends under way, the oldest first. */
  const waiting = new Set<{ readonly log: LogId.LogId; readonly since: number }>()
  /** Since when it has not answered, until it has answered all that have waited for too long. */
  let since: number | undefined
  let isSaid = false
  /** For how long it had not answered, until that is said. */
  let over: number | undefined

  /** The append that has waited longest, when that is too long. */
  const overdue = () => {
    for (const oldest of waiting) return Monotonic.millis(time) - oldest.since < stallMillis ? undefined : oldest
    return undefined
  }

  const answered = (from: number): void => {
    const now = Monotonic.millis(time)
    if (now - from < stallMillis) return
    since ??= from
    if (overdue() !== undefined) return
    over = now - since
    since = undefined
  }

  return {
    /** Watches an append to a log. */
    within: <A, E>(log: LogId.LogId, append: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        const one = { log, since: Monotonic.millis(time) }
        waiting.add(one)
        const ended = Effect.sync(() => {
          waiting.delete(one)
          answered(one.since)
        })
        return Effect.onExit(append, () => ended)
      }),
    /** Says in the log, once each, that it does not answer, and that it answers again. */
    look: Effect.gen(function* () {
      if (over !== undefined) {
        yield* Effect.logInfo(`its disk answers again, after ${(over / 1000).toFixed(1)} s`)
        over = undefined
        isSaid = false
      }
      const oldest = overdue()
      if (oldest === undefined || isSaid) return
      since ??= oldest.since
      isSaid = true
      const seconds = Math.floor((Monotonic.millis(time) - since) / 1000)
      yield* Effect.logWarning(`its disk has not answered for ${seconds} s: an append to ${oldest.log} waits for it`)
    }),
    /** For how long it has not answered, once that is too long; 0 while it answers. */
    stalledMillis: (): number => {
      const oldest = overdue()
      return oldest === undefined ? 0 : Math.round(Monotonic.millis(time) - (since ?? oldest.since))
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** From when on an append has waited for too long, in milliseconds. */
const stallMillis = 1000
