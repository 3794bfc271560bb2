/**
 * How rounds take turns with writes: they work for a share of the time, and at rest as long as they like.
 */
import { Effect } from "effect"

/** How rounds are bounded. */
export interface Bounds {
  /** Milliseconds by a clock that nobody sets. */
  readonly now: () => number
  /** How much of the time a round may work while writes come in, from 0 to 1. */
  readonly share: number
  /** How often it is looked whether a round is due, in milliseconds. */
  readonly lookMillis: number
  /** How many bytes are worth a round at least. */
  readonly minBytes: number
}

/** Before the first round. */
export const make = ({ lookMillis, minBytes, now, share }: Bounds) => {
  /** When the last round began and ended, whole or not, and how long it worked between. */
  let tried = { beganAt: Number.NEGATIVE_INFINITY, endedAt: Number.NEGATIVE_INFINITY, workMillis: 0 }
  let appendedBytes = 0
  /** What of that the step before this one had seen. */
  let seenBytes = 0
  /** How many looks in a row nothing was appended. */
  let quietLooks = 0
  const isAtRest = (): boolean => quietLooks >= restLooks

  return {
    /** So many bytes were appended by writes. */
    appended: (bytes: number): void => {
      appendedBytes += bytes
      quietLooks = 0
    },
    /** Bytes that a round has not looked at. */
    appendedBytes: (): number => appendedBytes,
    /** So many bytes are to be looked at, or looked at again. */
    owes: (bytes: number): void => void (appendedBytes += bytes),
    /** It was looked whether a round is due. */
    looked: (): void => void quietLooks++,
    /** A round begins. Returns the bytes that it will have looked at. */
    begin: (): number => {
      tried = { beganAt: now(), endedAt: Number.POSITIVE_INFINITY, workMillis: 0 }
      const taken = appendedBytes
      appendedBytes = 0
      seenBytes = 0
      return taken
    },
    end: (): void => void (tried.endedAt = now()),
    /** The pause after a step that took so long: while others write, as long as its share asks for. */
    pause: (millis: number, inBackground: boolean): Effect.Effect<void> =>
      Effect.suspend(() => {
        tried.workMillis += millis
        const isBusy = inBackground && appendedBytes !== seenBytes
        seenBytes = appendedBytes
        return isBusy && share < 1 ? Effect.sleep(Math.min(maxPauseMillis, millis * (1 / share - 1))) : Effect.yieldNow
      }),
    /** Whether rounds have worked for no more than their share of the time. At rest they hold nobody up. */
    isRested: (): boolean => {
      const { beganAt, endedAt, workMillis } = tried
      return now() - endedAt >= lookMillis && (isAtRest() || now() - beganAt >= workMillis / share)
    },
    /**
     * How many bytes that may go are worth a round's reading: a quarter of what stays, or a twentieth where nothing is
     * written that it could hold up.
     */
    worthBytes: (liveBytes: number): number => Math.max(minBytes, liveBytes / (isAtRest() ? 20 : 4))
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** The longest pause between two steps. */
const maxPauseMillis = 1000

/** After so many looks without a write it is at rest. */
const restLooks = 10
