/**
 * Recovery before the first append (decision 0009): a replica's store may have been restored from an older copy, and an
 * append at its end would then give a place away twice. So the replica first asks every peer how far it holds this
 * replica's own log, and fetches what is missing here. A peer that cannot be reached is waited for only so long.
 */
import type { Effect } from "effect"
import { Latch } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"

/** What is known of the end of the own log. */
export type Recovery = ReturnType<typeof make>

/**
 * Starts with no peer tried. `ownEnd` is how far the own log is held here, `patienceMillis` how long a peer that cannot
 * be reached is waited for from `startedMonotonicMillis` on, and `onDone` is called when this replica may append.
 */
export const make = (options: {
  readonly peers: ReadonlyArray<ReplicaId>
  readonly patienceMillis: number
  readonly startedMonotonicMillis: number
  readonly ownEnd: () => number
  readonly onDone: () => void
}) => {
  const { onDone, ownEnd, patienceMillis, peers, startedMonotonicMillis } = options
  const untried = new Set(peers)
  /** How far peers said that they hold the own log. */
  const ends = new Map<ReplicaId, number>()
  const done = Latch.makeUnsafe(false)

  const check = (): void => {
    if (done.isOpen() || untried.size > 0 || ownEnd() < Math.max(0, ...ends.values())) return
    done.openUnsafe()
    onDone()
  }
  check()

  return {
    /** Whether this replica may append. */
    isDone: (): boolean => done.isOpen(),
    /** Waits until this replica may append. */
    await: done.await as Effect.Effect<void>,
    /** A peer says how far it holds the own log. Nothing is appended before all of that is held here. */
    heard: (peer: ReplicaId, end: number): void => void ends.set(peer, end),
    /** A peer's copy of the own log differs: there is nothing to fetch from it, and an operator has to look. */
    differs: (peer: ReplicaId): void => void ends.delete(peer),
    /** A peer was asked, and what it had to give is here. */
    tried: (peer: ReplicaId): void => {
      untried.delete(peer)
      check()
    },
    /** A peer could not be asked to the end. That is no reason to wait for it for ever, unless it said what it holds. */
    failed: (peer: ReplicaId, monotonicMillis: number): void => {
      if (!untried.has(peer) || monotonicMillis - startedMonotonicMillis < patienceMillis) return
      untried.delete(peer)
      check()
    }
  }
}
