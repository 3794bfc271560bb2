/**
 * The clock of one machine over the timeline: it may be wrong, run too fast or too slow, and be set forward and back.
 * What sleeps is not woken by a clock that is set, as on a real machine.
 */
import { type Clock, Duration, Effect } from "effect"
import type { Owner, Timeline } from "./Timeline.ts"

/** The clock of a machine. */
export interface MachineClock {
  /** What its wall clock shows, in whole milliseconds since the epoch. */
  readonly wallMillis: () => number
  /** Sets it forward, or back. */
  readonly jump: (millis: number) => void
  /** Changes how fast it runs: 1 is right. */
  readonly drift: (rate: number) => void
  /** Sets it right, and lets it run right. */
  readonly mend: () => void
  /** By how much it is wrong now, in milliseconds. */
  readonly error: () => number
  /** By how much it was ever wrong, forward or back. */
  readonly greatestError: () => number
  /** Effect's service, for a process on this machine. */
  readonly service: (owner: Owner) => Clock.Clock
}

/** When every timeline begins, in milliseconds since the epoch. */
export const epochMillis = Date.UTC(2026, 0, 1)

/** A clock that is wrong by `offset` milliseconds and runs at `rate`. */
export const make = (timeline: Timeline, offset: number, rate: number): MachineClock => {
  /** At the time `since`, the wall clock was wrong by `wrong` and the monotonic clock was at `ran`. */
  let since = timeline.now()
  let wrong = offset
  let ran = 0
  const settle = (): void => {
    const passed = timeline.now() - since
    wrong += passed * (rate - 1)
    ran += passed * rate
    since += passed
  }
  const error = (): number => wrong + (timeline.now() - since) * (rate - 1)
  let greatest = Math.abs(offset)
  const note = (): number => (greatest = Math.max(greatest, Math.abs(error())))
  const wallMillis = (): number => Math.max(0, Math.floor(epochMillis + timeline.now() + error()))
  const monotonicMillis = (): number => ran + (timeline.now() - since) * rate
  const wallNanos = (): bigint => BigInt(wallMillis()) * 1_000_000n
  const monotonicNanos = (): bigint => BigInt(Math.round(monotonicMillis() * 1e6))
  return {
    wallMillis,
    error,
    greatestError: note,
    jump: (millis) => {
      note()
      settle()
      wrong += millis
      note()
    },
    drift: (next) => {
      settle()
      rate = next
    },
    mend: () => {
      note()
      settle()
      rate = 1
      wrong = 0
    },
    service: (owner) => ({
      currentTimeMillisUnsafe: wallMillis,
      currentTimeMillis: Effect.sync(wallMillis),
      currentTimeNanosUnsafe: wallNanos,
      currentTimeNanos: Effect.sync(wallNanos),
      monotonicTimeNanosUnsafe: monotonicNanos,
      monotonicTimeNanos: Effect.sync(monotonicNanos),
      sleep: (duration) => {
        const millis = Duration.toMillis(duration)
        if (!Number.isFinite(millis)) return Effect.never
        return Effect.callback((resume) => {
          // Timers of the host have whole milliseconds, and at least one. Not to sleep at all takes a moment too: whoever
          // waits for a time by turns would wait for ever.
          const wakes = timeline.now() + (millis <= 0 ? 0.01 : Math.max(1, Math.floor(millis))) / rate
          const cancel = timeline.at(owner, wakes, () => resume(Effect.void))
          return Effect.sync(cancel)
        })
      }
    })
  }
}
