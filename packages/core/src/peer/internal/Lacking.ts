/**
 * Which members cannot give what is damaged here, and what is lost with that. Pure.
 */
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { DamagedRange } from "../../log/DamagedRange.ts"

/** By damaged range: the members that have answered last that they lack some of it, or hold something else there. */
export type Lacking = ReadonlyMap<string, ReadonlySet<ReplicaId>>

/** What is mended piece by piece is the same damage until its end. */
const keyOf = ({ log, to }: DamagedRange): string => `${log} ${to}`

/** Takes in that a member lacks a range; what is not damaged any more is forgotten. */
export const noted = (
  lacking: Lacking,
  peer: ReplicaId,
  range: DamagedRange,
  damaged: ReadonlyArray<DamagedRange>
): Lacking => {
  const left = new Map<string, ReadonlySet<ReplicaId>>()
  for (const one of [...damaged, range]) left.set(keyOf(one), lacking.get(keyOf(one)) ?? new Set())
  return left.set(keyOf(range), new Set(left.get(keyOf(range))).add(peer))
}

/** The damaged ranges that no member has: all that are waited for have answered so. */
export const lost = (
  lacking: Lacking,
  damaged: ReadonlyArray<DamagedRange>,
  waitedFor: ReadonlyArray<ReplicaId>
): ReadonlyArray<DamagedRange> =>
  damaged.filter((range) => waitedFor.every((peer) => lacking.get(keyOf(range))?.has(peer) === true))
