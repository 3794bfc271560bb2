/**
 * Before the first append: a store may have been restored from an old backup, and appending first would give places away
 * twice. So every peer is tried, and what a peer is known to hold of this replica's own log is fetched (decision 0009).
 */
import { Latch } from "effect"
import type { Effect } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"

/** Whether this replica may append. */
export interface Recovery {
  readonly isDone: () => boolean
  /** Waits until it may. */
  readonly await: Effect.Effect<void>
  /** A peer holds the own log up to `end`. */
  readonly learnt: (peer: ReplicaId, end: number) => void
  /** What a peer holds of the own log cannot be told from it: its copy differs. */
  readonly forget: (peer: ReplicaId) => void
  /** A peer was tried: it answered and has nothing more, or it cannot be reached. */
  readonly tried: (peer: ReplicaId) => void
  /** A connection to a peer failed at `now`. One that was not reached for a while counts as tried. */
  readonly failed: (peer: ReplicaId, now: number) => void
}

/**
 * Starts with every peer untried. `ownHead` is how far the own log is held here, `patienceMillis` how long a peer may be
 * out of reach before it is not waited for. Times are milliseconds of a monotonic clock.
 */
export const make = (options: {
  readonly peers: ReadonlyArray<ReplicaId>
  readonly ownHead: () => number
  readonly startedAt: number
  readonly patienceMillis: number
  readonly onDone: () => void
}): Recovery => {
  const { onDone, ownHead, patienceMillis, peers, startedAt } = options
  const untried = new Set(peers)
  const ends = new Map<ReplicaId, number>()
  const done = Latch.makeUnsafe(peers.length === 0)
  const tried = (peer: ReplicaId): void => {
    untried.delete(peer)
    if (done.isOpen() || untried.size > 0 || ownHead() < Math.max(0, ...ends.values())) return
    done.openUnsafe()
    onDone()
  }
  return {
    isDone: () => done.isOpen(),
    await: done.await,
    learnt: (peer, end) => void ends.set(peer, end),
    forget: (peer) => void ends.delete(peer),
    tried,
    failed: (peer, now) => {
      if (untried.has(peer) && now - startedAt >= patienceMillis) tried(peer)
    }
  }
}
