/**
 * Names of logs.
 *
 * Every replica appends its own writes to its own log, numbered 1, 2, 3 … A log belongs to a replica and to one
 * *incarnation* of its store, so that a store that was wiped, restored or moved never gives a place away again.
 */
import { Clock, Effect, Random, Schema } from "effect"
import type * as ReplicaId from "./ReplicaId.ts"

/**
 * The name of one life of a store: 16 lower-case hexadecimal digits, 12 of milliseconds, as it began or
 * later, and 4 random ones. Of two incarnations of a replica the greater text is the newer.
 */
export const Incarnation = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{16}$/, { message: "an incarnation is 16 lower-case hexadecimal digits" })
).pipe(Schema.brand("@quorum/core/Incarnation"))

/** The name of one life of a store. */
export type Incarnation = typeof Incarnation.Type

/** The name of a log: `replica@incarnation`, for example `a@9f3c52d0b1e44a07`. */
export const LogId = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}@[0-9a-f]{16}$/, {
    message: "a log is named replica@incarnation, for example a@9f3c52d0b1e44a07"
  })
).pipe(Schema.brand("@quorum/core/LogId"))

/** The name of a log. */
export type LogId = typeof LogId.Type

/** A place in a log: a whole number, 1 for the first entry; 0 stands for "none". */
export const Sequence = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** The name of the log that a replica writes with the store of this incarnation. */
export const make = (replica: ReplicaId.ReplicaId, incarnation: Incarnation): LogId =>
  `${replica}@${incarnation}` as LogId

/** The replica that owns a log. */
export const owner = (log: LogId): ReplicaId.ReplicaId => log.slice(0, log.lastIndexOf("@")) as ReplicaId.ReplicaId

/** The incarnation of the store with which a log is written. */
export const incarnation = (log: LogId): Incarnation => log.slice(log.lastIndexOf("@") + 1) as Incarnation

/** The newer of two incarnations. */
export const newer = (a: Incarnation, b: Incarnation | undefined): Incarnation => (b === undefined || a >= b ? a : b)

/**
 * What a new life of a store is to the one before.
 *
 * - `loss`: something that the one before acknowledged may be missing, or a place may have been given away
 * - `boot`: it holds all that the one before acknowledged, after another boot of its machine
 */
export type Follows = "loss" | "boot"

/**
 * A new incarnation of these milliseconds, far above that of `above`, which it follows with a loss.
 *
 * A life after a loss is newer than every life that goes on from what was there before the loss, however often that is
 * booted: a disk that was replaced, and is put back, must not be taken for what came after it. So a loss is a leap, and
 * a boot is a small step.
 */
export const incarnationAt = (wallMillis: number, random16: number, above?: Incarnation): Incarnation => {
  const least = above === undefined ? 0 : millisOf(above) + leapMillis
  return format(Math.max(Math.min(Math.floor(wallMillis), latestMillis), least), random16)
}

/**
 * The incarnation with which the others go on without a life of a replica: newer than what that life becomes by boots, and
 * older than all that the replica can begin anew with. All who think of one think of the same.
 */
export const incarnationWithout = (before: Incarnation): Incarnation =>
  format(millisOf(before) + leapMillis - 1, 0xffff)

/** The incarnation of a store after another boot, a small step above the one before. `random20` has twenty random bits. */
export const incarnationAfterBoot = (before: Incarnation, random20: number): Incarnation =>
  format(millisOf(before) + 1 + (random20 >>> 16), random20 & 0xffff)

/**
 * Whether a life goes on from the one before by boots alone, of which some dozens may have been missed: all that the one
 * before acknowledged is asked of it too. A store that was created empty within a second of the one before looks the same.
 */
export const goesOn = (before: Incarnation, after: Incarnation): boolean =>
  after > before && millisOf(after) - millisOf(before) < stepsMillis

/** Draws new incarnations from the `Clock` and `Random` services, newer than the one that is given. */
export const incarnations: Effect.Effect<(above?: Incarnation, follows?: Follows) => Incarnation> = Effect.gen(
  function* () {
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const bits = (count: number): number => Math.floor(random.nextDoubleUnsafe() * 2 ** count)
    return (above, follows = "loss") =>
      above !== undefined && follows === "boot"
        ? incarnationAfterBoot(above, bits(20))
        : incarnationAt(clock.currentTimeMillisUnsafe(), bits(16), above)
  }
)

// ---------------------------------------------------------------------------------------------------------------------

const maxMillis = 2 ** 48 - 1

/** The latest that a clock is taken for, in the year 6429: whatever comes after a life that it began needs room too. */
const latestMillis = 2 ** 47

/** How far a life after a loss is above the one before at least, in milliseconds: 65,536 boots or more. */
const leapMillis = 2 ** 20

/** How far some dozens of boots reach: each is a step of at most 16 milliseconds. */
const stepsMillis = 2 ** 10

const millisOf = (incarnation: Incarnation): number => Number.parseInt(incarnation.slice(0, 12), 16)

const format = (millis: number, random16: number): Incarnation => {
  const within = Math.min(maxMillis, Math.max(0, millis))
  return (within.toString(16).padStart(12, "0") + random16.toString(16).padStart(4, "0")) as Incarnation
}
