/**
 * Names of logs.
 *
 * Every replica appends its own writes to its own log, numbered 1, 2, 3 … A log belongs to a replica and to one
 * *incarnation* of its store, so that a store that was wiped, restored or moved never gives a place away again.
 */
import { Clock, Effect, Random, Schema } from "effect"
import type * as ReplicaId from "./ReplicaId.ts"

/**
 * The name of one life of a store: 16 lower-case hexadecimal digits, 12 of the milliseconds at which it began and 4
 * random ones. Of two incarnations of a replica the greater text is the newer.
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

/** The newer of two incarnations. */
export const newer = (a: Incarnation, b: Incarnation | undefined): Incarnation => (b === undefined || a >= b ? a : b)

/** A new incarnation of these milliseconds, or of the next after those of `above`, which it has to be newer than. */
export const incarnationAt = (wallMillis: number, random16: number, above?: Incarnation): Incarnation => {
  const least = above === undefined ? 0 : Number.parseInt(above.slice(0, 12), 16) + 1
  const millis = Math.min(maxMillis, Math.max(0, Math.floor(wallMillis), least))
  return (millis.toString(16).padStart(12, "0") + random16.toString(16).padStart(4, "0")) as Incarnation
}

/** Draws new incarnations from the `Clock` and `Random` services, newer than the one that is given. */
export const incarnations: Effect.Effect<(above?: Incarnation) => Incarnation> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  return (above) =>
    incarnationAt(clock.currentTimeMillisUnsafe(), Math.floor(random.nextDoubleUnsafe() * 0x1_0000), above)
})

// ---------------------------------------------------------------------------------------------------------------------

const maxMillis = 2 ** 48 - 1
