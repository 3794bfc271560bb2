/**
 * Which commits have been covered by a probe: by questions that were asked after they were called, and answered by a
 * majority. Pure.
 *
 * Calls and questions draw their marks from one counter. A question covers the calls with lesser marks, at the peer
 * that answered it; one answer covers all that were called before it was asked for.
 */
import type { ReplicaId } from "../identity/ReplicaId.ts"

/** What peers have answered. */
export interface ProbeTracker {
  /** How many peers have to answer: a majority, without this replica. */
  readonly needed: number
  /** For each peer that answered, the greatest mark of a question that it answered. */
  readonly answered: ReadonlyMap<ReplicaId, number>
}

/** Nobody has answered; `n` is the size of the replica set. */
export const make = (n: number): ProbeTracker => ({ needed: Math.floor(n / 2), answered: new Map() })

/** A peer answered the question of this mark. */
export const answer = (tracker: ProbeTracker, peer: ReplicaId, mark: number): ProbeTracker =>
  (tracker.answered.get(peer) ?? 0) >= mark
    ? tracker
    : { ...tracker, answered: new Map(tracker.answered).set(peer, mark) }

/** The calls with lesser marks are covered. */
export const coveredBefore = ({ answered, needed }: ProbeTracker): number => {
  if (needed === 0) return Number.POSITIVE_INFINITY
  let covered = 0
  for (const mark of answered.values()) if (mark > covered && answersFrom(answered, mark) >= needed) covered = mark
  return covered
}

/** How many peers have answered a question of this mark or a greater one. */
const answersFrom = (answered: ProbeTracker["answered"], mark: number): number => {
  let count = 0
  for (const other of answered.values()) if (other >= mark) count++
  return count
}

/** The peers whose answers cover a call. */
export const answeredBy = ({ answered }: ProbeTracker, mark: number): ReadonlyArray<ReplicaId> =>
  Array.from(answered.keys()).filter((peer) => answered.get(peer)! > mark)
