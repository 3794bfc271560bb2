/**
 * Entries that this replica has committed again under its own log, because the log that held them does not lead to the
 * others with them. Each copy has the clock and the tie of its write, so it is the same version and takes no effect twice.
 */
import { Schema } from "effect"
import * as LogId from "../identity/LogId.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"
import * as DamagedRange from "../log/DamagedRange.ts"

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
   * - `fork`: `peer` holds other entries at these places, and the log goes on with those; what only this replica held as
   *   it came back is decided about as with `away`
   * - `lost`: the entry `after` is damaged here and no member has it, so nobody can be brought what follows
   * - `away`: nobody else held them when this replica came back, and deletes may have been forgotten meanwhile that came
   *   after some of them: these were not committed again
   */
  because: Schema.Literals(["fork", "lost", "away"]),
  peer: Schema.NullOr(ReplicaId.ReplicaId),
  again: Schema.Array(Again),
  /** What was not committed again and is gone: how many entries, and the keys of the first of them. */
  dropped: Schema.optionalKey(
    Schema.Struct({
      entries: LogId.Sequence,
      keys: Schema.Array(Schema.Struct({ seq: LogId.Sequence, namespace: Schema.String, key: Schema.String }))
    })
  ),
  /** When, in milliseconds since the epoch. */
  wallMillis: Schema.Finite
})

/** What was committed again of a log, and why. */
export type GivenUp = typeof GivenUp.Type

/** How many parts of logs that were given up are remembered. */
const maxGone = 64

/**
 * Adds one more. The oldest of many that are gone are forgotten. What follows a loss stays where it is too, and would be
 * committed again if that were forgotten: there is one such part at most for each range that is damaged.
 */
export const added = (known: ReadonlyArray<GivenUp>, more: GivenUp): ReadonlyArray<GivenUp> => {
  const all = [...known, more]
  const gone = all.filter(({ because }) => because !== "lost")
  const oldest = gone.length > maxGone ? gone[0] : undefined
  return oldest === undefined ? all : all.filter((each) => each !== oldest)
}

/**
 * What is still to be committed again of the entries that follow a lost range of a log, of which `upTo` is the last one
 * here: all that is in order and was not before. Ranges are lost, and are mended, in any order.
 */
export const leftAfter = (
  { log, to }: DamagedRange.DamagedRange,
  upTo: number,
  known: ReadonlyArray<GivenUp>,
  damaged: ReadonlyArray<DamagedRange.DamagedRange>
): ReadonlyArray<DamagedRange.DamagedRange> => {
  const all = upTo > to ? [{ log, from: to + 1, to: upTo }] : []
  const before = known.flatMap((each) =>
    each.because === "lost" ? [{ log: each.log, from: each.after + 1, to: each.upTo }] : []
  )
  return [...before, ...damaged].reduce<ReadonlyArray<DamagedRange.DamagedRange>>(DamagedRange.without, all)
}

/** The last entry of a log that is there again from another; 0 when none is. */
export const lastIn = (known: ReadonlyArray<GivenUp>, own: LogId.LogId): number =>
  Math.max(0, ...known.flatMap(({ again }) => again.map(({ at, count, log }) => (log === own ? at + count - 1 : 0))))

/** Parts with one more, joined to the last where it follows in both logs. */
export const joined = (parts: ReadonlyArray<Again>, more: Again): ReadonlyArray<Again> => {
  const last = parts[parts.length - 1]
  if (last === undefined || last.log !== more.log) return [...parts, more]
  if (last.from + last.count !== more.from || last.at + last.count !== more.at) return [...parts, more]
  return [...parts.slice(0, -1), { ...last, count: last.count + more.count }]
}

/** Parts with the entries at `seqs`, in their order, which are those of `log` from `at` on. Between them some may be erased. */
export const withEntries = (
  parts: ReadonlyArray<Again>,
  seqs: ReadonlyArray<number>,
  log: LogId.LogId,
  at: number
): ReadonlyArray<Again> => {
  let all = parts
  for (let i = 0, count = 1; i < seqs.length; i += count) {
    for (count = 1; seqs[i + count] === seqs[i]! + count;) count++
    all = joined(all, { from: seqs[i]!, count, log, at: at + i })
  }
  return all
}

/** Where an entry of a log was committed again: at no place, or at one for each side that was given up there. */
export const placesOf = (
  known: ReadonlyArray<GivenUp>,
  log: LogId.LogId,
  seq: number
): ReadonlyArray<{ readonly log: LogId.LogId; readonly seq: number }> =>
  known.flatMap((each) =>
    each.log !== log
      ? []
      : each.again
          .filter(({ count, from }) => from <= seq && seq < from + count)
          .map(({ at, from, log }) => ({ log, seq: at + seq - from }))
  )

/** What became of them, in words. */
export const toldOf = (given: GivenUp): string => {
  const { again, dropped } = given
  const kept = again.length === 0 ? [] : [`were committed again as ${textOf(given)}`]
  if (dropped === undefined) return kept.join("")
  const keys = dropped.keys.map(({ key, namespace }) => `${namespace}/${key}`).join(", ")
  return [
    ...kept,
    `${dropped.entries} of them are dropped, since their keys may have been deleted later (${keys})`
  ].join(", and ")
}

/** Where in its own log a replica has committed entries again, in words. */
export const textOf = ({ again }: GivenUp): string =>
  again.map(({ at, count, log }) => `${log}:${at} to ${at + count - 1}`).join(", ")
