/**
 * Writes whose quorum was not met, and who had acked them then: whoever is known to hold them later acked late.
 */
import type { LogId } from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"

/** How many writes are remembered; the oldest are forgotten first. */
const maxRemembered = 65_536

/** Remembers nothing yet. */
export const make = () => {
  /** Who had acked it in time, by the place of the write. The writes of one group share one list. */
  const inTime = new Map<string, ReadonlyArray<ReplicaId>>()
  const placeOf = (log: LogId, seq: number): string => `${log}:${seq}`
  return {
    remember: (log: LogId, seqs: ReadonlyArray<number>, acked: ReadonlyArray<ReplicaId>): void => {
      for (const seq of seqs) inTime.set(placeOf(log, seq), acked)
      for (const oldest of inTime.keys()) {
        if (inTime.size <= maxRemembered) break
        inTime.delete(oldest)
      }
    },
    /** Whether a peer that holds a write now had not acked it when its quorum was not met. */
    isLate: (log: LogId, seq: number, peer: ReplicaId): boolean =>
      inTime.get(placeOf(log, seq))?.includes(peer) === false
  }
}
