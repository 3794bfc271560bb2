/**
 * What this replica knows of the members' lives, and what it says of its own.
 */
import { Clock, Context, Effect, Layer, Option, Schema, Semaphore } from "effect"
import * as Life from "../identity/Life.ts"
import type * as LogId from "../identity/LogId.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import * as ReplicaStore from "../log/ReplicaStore.ts"
import type * as PeerProtocol from "./PeerProtocol.ts"

/** What either side of a handshake says of itself. */
export type Says = Pick<PeerProtocol.Welcome, keyof typeof PeerProtocol.says>

/** The lives of the members. */
export class Membership extends Context.Service<
  Membership,
  {
    /** The newest life of each member that is known of, this replica's own among them. */
    readonly lives: () => Life.Lives
    /** The hash of {@link lives}. */
    readonly hash: () => number
    /** Whether this replica counts for a quorum. */
    readonly isVoting: () => boolean
    /** What this replica says of itself to a peer. */
    readonly says: (peer: ReplicaId) => Says
    /** Takes in lives that were heard of. What is new is durable before anything counts on it. */
    readonly learn: (heard: Life.Lives) => Effect.Effect<void, ReplicaStore.StoreError>
  }
>()("@quorum/core/Membership") {}

/** Takes up what the store noted of the members. */
export const make = Effect.gen(function* () {
  const { peers, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const store = yield* ReplicaStore.ReplicaStore
  const startedAt = (yield* Clock.Clock).currentTimeMillisUnsafe()
  const own = (incarnation: LogId.Incarnation): Life.Life => ({ incarnation, run: logs.run, startedAt })
  const noted = yield* store.note(livesNote)
  let lives: Life.Lives = Life.merge(
    {},
    Option.getOrElse(Option.flatMap(noted, decodeLives), () => ({})),
    peers
  )
  lives = { ...lives, [self]: own(logs.identity.incarnation) }
  const learning = Semaphore.makeUnsafe(1)

  const learn = (heard: Life.Lives) =>
    Effect.suspend(() => {
      if (Life.merge(lives, heard, peers) === lives) return Effect.void
      return learning.withPermit(
        Effect.suspend(() => {
          const merged = Life.merge(lives, heard, peers)
          const isNews = Life.hash(merged) !== Life.hash(lives)
          const noted = isNews ? store.setNotes({ [livesNote]: encodeLives(merged) }) : Effect.void
          return Effect.map(Effect.uninterruptible(noted), () => void (lives = merged))
        })
      )
    })

  return Membership.of({
    lives: () => lives,
    hash: () => Life.hash(lives),
    isVoting: () => true,
    says: () => ({
      ...own(logs.identity.incarnation),
      voting: true,
      blank: false,
      members: lives,
      remembered: [],
      clock: logs.clock()
    }),
    learn
  })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<
  Membership,
  ReplicaStore.StoreError,
  ReplicaSet | ReplicaLogs | ReplicaStore.ReplicaStore
> = Layer.effect(Membership, make)

// ---------------------------------------------------------------------------------------------------------------------

/** The note of the lives that are known. */
const livesNote = "lives"

const livesJson = Schema.fromJsonString(Life.Lives)
const encodeLives = Schema.encodeSync(livesJson)
const decodeLives = Schema.decodeUnknownOption(livesJson)
