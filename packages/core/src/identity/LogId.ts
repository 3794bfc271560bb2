/**
 * Names of logs.
 *
 * Every replica appends its own writes to its own log, numbered 1, 2, 3 … A log belongs to a replica and to one
 * *incarnation* of its store, so that a wiped store never reuses a place of the old one.
 */
import { Effect, Random, Schema } from "effect"
import type * as ReplicaId from "./ReplicaId.ts"

/** A random name of one store, made when the store is created: 16 lower-case hexadecimal digits. */
export const Incarnation = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{16}$/, { message: "an incarnation is 16 lower-case hexadecimal digits" })
).pipe(Schema.brand("@quorum/core/Incarnation"))

/** A random name of one store. */
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

/** Draws a new incarnation from the `Random` service. */
export const makeIncarnation: Effect.Effect<Incarnation> = Effect.gen(function* () {
  let text = ""
  for (let i = 0; i < 4; i++) {
    text += (yield* Random.nextIntBetween(0, 0xffff)).toString(16).padStart(4, "0")
  }
  return text as Incarnation
})
