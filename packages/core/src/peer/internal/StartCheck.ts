/**
 * The check before the first append of a run: every peer is asked once whether it knows more of this replica than it does
 * itself, which renews it. A peer that cannot be reached is waited for only so long.
 */
import type { ReplicaId } from "../../identity/ReplicaId.ts"

/** Who has been asked. */
export type StartCheck = ReturnType<typeof make>

/** Starts with no peer asked. `patienceMillis` is how long a peer that cannot be reached is waited for. */
export const make = (options: {
  readonly peers: ReadonlyArray<ReplicaId>
  readonly patienceMillis: number
  readonly startedMonotonicMillis: number
  readonly onDone: () => void
}) => {
  const { onDone, patienceMillis, peers, startedMonotonicMillis } = options
  const untried = new Set(peers)
  const tried = (peer: ReplicaId): void => {
    if (untried.delete(peer) && untried.size === 0) onDone()
  }
  return {
    isDone: (): boolean => untried.size === 0,
    /** A peer has answered, and what it answered has been taken in. */
    tried,
    /** A peer could not be asked. That is no reason to wait for it for ever. */
    failed: (peer: ReplicaId, monotonicMillis: number): void => {
      if (monotonicMillis - startedMonotonicMillis >= patienceMillis) tried(peer)
    }
  }
}
