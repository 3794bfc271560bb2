/**
 * Entries that this replica has committed again under its own log, because the log that held them does not lead to the
 * others with them. Each copy has the clock and the tie of its write, so it is the same version and takes no effect twice.
 */
import { Schema } from "effect"
import * as LogId from "../identity/LogId.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"

/** A part of a log that was committed again: `count` entries, from `from` on, are the entries of `log` from `at` on. */
export const Again = Schema.Struct({
  from: LogId.Sequence,
  count: LogId.Sequence,
  log: LogId.LogId,
  at: LogId.Sequence
})

/** A part of a log that was committed again. */
export type Again = typeof Again.Type

/** What was committed again of a log, and why. */
export const GivenUp = Schema.Struct({
  log: LogId.LogId,
  /** The entries after this one, up to `upTo`. */
  after: LogId.Sequence,
  upTo: LogId.Sequence,
  /**
   * - `fork`: `peer` holds other entries at these places, and the log goes on with those
   * - `lost`: the entry `after` is damaged here and no member has it, so nobody can be brought what follows
   */
  because: Schema.Literals(["fork", "lost"]),
  peer: Schema.NullOr(ReplicaId.ReplicaId),
  again: Schema.Array(Again),
  /** When, in milliseconds since the epoch. */
  wallMillis: Schema.Finite
})

/** What was committed again of a log, and why. */
export type GivenUp = typeof GivenUp.Type

/** How many are remembered. */
const maxRemembered = 64

/** Adds one more; the oldest of many are forgotten. */
export const added = (known: ReadonlyArray<GivenUp>, more: GivenUp): ReadonlyArray<GivenUp> =>
  [...known, more].slice(-maxRemembered)

/** Parts with one more, joined to the last where it follows in both logs. */
export const joined = (parts: ReadonlyArray<Again>, more: Again): ReadonlyArray<Again> => {
  const last = parts[parts.length - 1]
  if (last === undefined || last.log !== more.log) return [...parts, more]
  if (last.from + last.count !== more.from || last.at + last.count !== more.at) return [...parts, more]
  return [...parts.slice(0, -1), { ...last, count: last.count + more.count }]
}

/** Where in its own log a replica has committed entries again, in words. */
export const textOf = ({ again }: GivenUp): string =>
  again.map(({ at, count, log }) => `${log}:${at} to ${at + count - 1}`).join(", ")
