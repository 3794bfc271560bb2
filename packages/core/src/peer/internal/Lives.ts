/**
 * The newest life of each member that this replica knows of, its own among them. What is new of them is durable before
 * anything rests on it.
 */
import { Effect, type Semaphore } from "effect"
import * as Life from "../../identity/Life.ts"
import type * as LogId from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type * as ReplicaStore from "../../log/ReplicaStore.ts"
import * as Notes from "./membershipNotes.ts"

/** Begins with those that are noted. `changing` is held while they change. */
export const make = ({
  changing,
  noted,
  onLife,
  onNews,
  own,
  peers,
  self,
  store
}: {
  readonly noted: Life.Lives
  readonly self: ReplicaId
  readonly peers: ReadonlyArray<ReplicaId>
  /** The life of this replica as of now. */
  readonly own: () => Life.Life
  readonly store: ReplicaStore.ReplicaStore["Service"]
  readonly changing: Semaphore.Semaphore
  /** Another life is known of somebody. */
  readonly onNews: () => void
  /** A peer has this life: called for all of which one is known, whether that is new or not. */
  readonly onLife: (peer: ReplicaId, incarnation: LogId.Incarnation) => void
}) => {
  let lives: Life.Lives = { ...Life.merge({}, noted, peers), [self]: own() }
  let hashed: { readonly lives: Life.Lives; readonly hash: number } | undefined

  const tellPeers = (): void => {
    for (const peer of peers) {
      const life = Life.of(lives, peer)
      if (life !== undefined) onLife(peer, life.incarnation)
    }
  }
  tellPeers()

  return {
    all: () => lives,
    /** The hash of all. */
    hash: (): number => {
      // Asked for with every ack, and new once in a while.
      if (hashed?.lives !== lives) hashed = { lives, hash: Life.hash(lives) }
      return hashed.hash
    },
    /** Whether a newer life of a peer is known than this. */
    isFormer: (peer: ReplicaId, incarnation: LogId.Incarnation): boolean => {
      const newest = Life.of(lives, peer)?.incarnation
      return newest !== undefined && newest > incarnation
    },
    /** This replica has another life. */
    renewed: (): void => void (lives = { ...lives, [self]: own() }),
    /** Takes in what was heard of lives; durable when it returns. */
    learn: (heard: Life.Lives): Effect.Effect<void, ReplicaStore.StoreError> =>
      Effect.suspend(() => {
        if (Life.merge(lives, heard, peers) === lives) return Effect.void
        return changing.withPermit(
          Effect.suspend(() => {
            const merged = Life.merge(lives, heard, peers)
            const isNews = Life.hash(merged) !== Life.hash(lives)
            const note = isNews ? store.setNotes(Notes.encode({ lives: merged })) : Effect.void
            return Effect.map(Effect.uninterruptible(note), () => {
              lives = merged
              if (isNews) onNews()
              tellPeers()
            })
          })
        )
      })
  }
}
