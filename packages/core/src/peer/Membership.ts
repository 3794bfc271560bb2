/**
 * What this replica knows of the members' lives, and whether it counts for a quorum itself.
 *
 * A replica of which something acknowledged may be missing does not vote: it stores, serves pulls and pushes its own log,
 * but its acks count for nothing, it commits nothing and serves no reads. All that the answer to a handshake rests on is
 * durable before it is given.
 */
import { Clock, Context, Effect, Layer, Semaphore } from "effect"
import { EventSink } from "../events/EventSink.ts"
import type * as Life from "../identity/Life.ts"
import type * as LogId from "../identity/LogId.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import type { BackupOrigin } from "../log/BackupOrigin.ts"
import type * as DamagedRange from "../log/DamagedRange.ts"
import * as Listeners from "../log/Listeners.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import * as ReplicaStore from "../log/ReplicaStore.ts"
import type * as Watermark from "../log/Watermark.ts"
import type * as Absence from "./internal/Absence.ts"
import * as AbsenceWatch from "./internal/AbsenceWatch.ts"
import * as Arrivals from "./internal/Arrivals.ts"
import * as FormerLogs from "./internal/FormerLogs.ts"
import * as Kept from "./internal/Kept.ts"
import * as Lives from "./internal/Lives.ts"
import * as Meeting from "./internal/Meeting.ts"
import * as Missing from "./internal/Missing.ts"
import * as Obstacles from "./internal/Obstacles.ts"
import * as OnlyHere from "./internal/OnlyHere.ts"
import * as OwnFloor from "./internal/OwnFloor.ts"
import * as Notes from "./internal/membershipNotes.ts"
import * as Remembered from "./internal/Remembered.ts"
import * as Renewal from "./internal/Renewal.ts"
import * as Settling from "./internal/Settling.ts"
import * as Standing from "./internal/Standing.ts"
import * as Voting from "./internal/Voting.ts"
import type { Said, Says } from "./Greeting.ts"
import type * as PeerProtocol from "./PeerProtocol.ts"
import { Peers } from "./Peers.ts"
import { type RecoveryRefused, refusalOf } from "./Recovery.ts"

/** How long, in milliseconds, a member may be away before it is marked, so that a majority may go on without it. */
export const AwayAfter = Context.Reference<number>("@quorum/core/AwayAfter", {
  defaultValue: () => 7 * 24 * 60 * 60 * 1000
})

/** How many bytes may be appended while a member is away before it is marked all the same; without a bound by default. */
export const AwayBytes = Context.Reference<number>("@quorum/core/AwayBytes", { defaultValue: () => Infinity })

/** The lives of the members, and who votes. */
export class Membership extends Context.Service<
  Membership,
  {
    /** The newest life of each member that is known of, this replica's own among them. */
    readonly lives: () => Life.Lives
    /** The members that this replica has marked because they are away too long, and in which life. */
    readonly marked: () => Absence.Marks
    /** The hash of {@link lives}. */
    readonly hash: () => number
    /** Whether this replica counts for a quorum. */
    readonly isVoting: () => boolean
    /** Whether it may hold what the others have erased since: that is erased here too, before it votes. */
    readonly isStale: () => boolean
    /** Entries are about to be taken from a peer that may hold what others have erased since; durable when it returns. */
    readonly borrows: Effect.Effect<void, ReplicaStore.StoreError>
    /** How often it has borrowed. */
    readonly borrowed: () => number
    /** What a voting member has erased is erased here too. */
    readonly adopted: (borrowed: number) => void
    /** How far it holds every log, as a peer is told: not of logs of which it may be the only one to hold so much. */
    readonly vector: (peer: ReplicaId) => Watermark.VersionVector
    /** Whether it recovers, and it is not decided yet about what only it holds. */
    readonly isToOffer: () => boolean
    /** The owners of the logs that are here, by which that is decided. */
    readonly owners: () => OnlyHere.Owners
    /** What only it holds, when it is time to decide about that: all else is here that it waits for before it votes. */
    readonly toOffer: Effect.Effect<OnlyHere.Tails | undefined>
    /** It was decided: nothing is left that has to be. */
    readonly offered: () => void
    /** Whether its store was created empty, and nobody has told since whether that was a first start or a loss. */
    readonly isBlank: () => boolean
    /** The backup that its store was filled from, unless it has recovered from members since. */
    readonly restoredFrom: () => BackupOrigin | undefined
    /** How many entries it has to fetch before it votes, as far as members have answered; 0 when it votes. */
    readonly toFetch: () => number
    /** Whether no member has what is not here of a log up to there, and none ever will. */
    readonly isGone: (seen: Watermark.Watermark) => boolean
    /** Why this replica does not vote, or must not write; `undefined` when it may. */
    readonly obstacle: () => string | undefined
    /** What this replica says of itself to a peer. */
    readonly says: (peer: ReplicaId) => Says
    /** Takes in what a peer says in a handshake of either direction. What is new is durable when this returns. */
    readonly meet: (said: Said) => Effect.Effect<void, ReplicaStore.StoreError>
    /** Whether a newer life of a peer is known than this. */
    readonly isFormer: (peer: ReplicaId, incarnation: LogId.Incarnation) => boolean
    /** Stores what comes from a life of a peer, unless that is a former one by now. */
    readonly receive: <A, E>(
      peer: ReplicaId,
      incarnation: LogId.Incarnation,
      stored: Effect.Effect<A, E>
    ) => Effect.Effect<A, E | PeerProtocol.SessionUnknown>
    /** Whether something of a former life of a member may still be on its way to the disk here. */
    readonly isArriving: () => boolean
    /** A peer has answered a handshake in which this replica said this of itself. */
    readonly answered: (said: Says, welcome: Said) => Effect.Effect<void, ReplicaStore.StoreError>
    /** A peer has refused this replica, for what is called `reason` there. */
    readonly refused: (
      peer: ReplicaId,
      refusal: PeerProtocol.HandshakeRefused
    ) => Effect.Effect<void, ReplicaStore.StoreError>
    /** What a peer is known to have acked in its present life, also before this replica was started. */
    readonly remembered: (peer: ReplicaId) => Watermark.VersionVector
    /** A peer lacks entries that are damaged here, or holds others in their place. */
    readonly lacks: (peer: ReplicaId, range: DamagedRange.DamagedRange) => void
    /** What is damaged here and no member has: it is not waited for any more. */
    readonly lost: () => ReadonlyArray<DamagedRange.DamagedRange>
    /** Whether this replica may append to its own log, also while it does not vote: no other process has its id. */
    readonly mayWrite: () => boolean
    /** What was committed again, so that what held it may be given up. */
    readonly kept: Kept.Kept
    /** The copy of a log that a peer holds was compared, and differs from the one here. */
    readonly differs: (peer: ReplicaId, log: LogId.LogId) => void
    /** Waits until this replica has another incarnation. */
    readonly renewed: Effect.Effect<void>
    /** Calls `listener` whenever this replica begins or ceases to vote. Returns how to stop it. */
    readonly listen: (listener: () => void) => () => void
    /** What would be lost, in words, if these members were given up. Changes nothing. */
    readonly lossOf: (givenUp: ReadonlyArray<ReplicaId>) => Effect.Effect<string, RecoveryRefused>
    /**
     * Overrules what this replica waits for: nothing is waited for from the members that are given up, until they vote
     * again, and what only they hold is lost. Says in the log first what may be lost.
     */
    readonly recover: (givenUp: ReadonlyArray<ReplicaId>) => Effect.Effect<string, RecoveryRefused>
  }
>()("@quorum/core/Membership") {}

/** Takes up what the store noted of the members. */
export const make = Effect.gen(function* () {
  const { peers: peerIds, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const store = yield* ReplicaStore.ReplicaStore
  const peers = yield* Peers
  const sink = yield* EventSink
  const clock = yield* Clock.Clock
  const startedAt = clock.currentTimeMillisUnsafe()
  const noted = yield* Notes.load(store)
  const starts = noted.starts + 1
  yield* store.setNotes(Notes.encode({ starts }))
  const own = (): Life.Life => ({ incarnation: logs.identity.incarnation, starts, run: logs.run, startedAt })
  const kept = Kept.make(store, noted.givenUp)
  const { listen, tell: changed } = Listeners.make()
  /** One change at a time, from what it rests on to what is durable. */
  const changing = Semaphore.makeUnsafe(1)
  const acked = yield* Remembered.knownOf(noted.remembered, noted.givenUp, logs.chainAt)
  const remembered = yield* Remembered.make(store, acked)
  const arrivals = Arrivals.make()
  const onlyHere = OnlyHere.make()
  const here = { self, peers: peerIds, logs, store, sink, own, changing, changed }
  const standing = Standing.make({ ...here, noted, lives: () => lives.all() })
  const lives = Lives.make({
    ...here,
    noted: noted.lives,
    onNews: arrivals.onNewLife,
    onLife: (peer, incarnation) => {
      // What a former life acked is taken back, here and in what is remembered (law L57).
      peers.met(peer, incarnation)
      remembered.met(peer, incarnation)
      standing.fallen(peer, incarnation)
    }
  })
  const former = FormerLogs.make({ logs, kept, givenUp: standing.givenUp, changed })
  const missing = Missing.make(logs, standing.waitedFor)
  const renewal = Renewal.make({
    ...here,
    lose: () => {
      standing.lose()
      former.forget()
    },
    onRenewed: lives.renewed
  })
  const obstacles = Obstacles.make({ ...here, standing, missing, former, renewal })
  const floor = OwnFloor.make({ logs, known: kept.all, lost: missing.lost, isArriving: arrivals.hasStragglers })
  yield* remembered.listenTo(peers)
  const settling = yield* Settling.make({
    ...here,
    standing,
    missing,
    former,
    renewal,
    onReplaced: (log, after) => {
      // What is known of the members' copies, and what they answered, was of entries that are given up (law L52).
      remembered.forget(log)
      standing.withoutAll()
      const monotonicMillis = Monotonic.millis(clock)
      for (const peer of peerIds) peers.report({ _tag: "Replaced", peer, log, after, monotonicMillis })
    }
  })
  const absence = yield* AbsenceWatch.make({
    ...here,
    noted: noted.away,
    lives,
    isVoting: obstacles.isVoting,
    patience: { millis: yield* AwayAfter, bytes: yield* AwayBytes }
  })
  const told = { standing, lives, former, renewal, obstacles, floor, settling, absence, onlyHere }
  const { answered, meet, refused } = Meeting.make({ self, logs, peers, kept, ...told })
  const lossOf = (givenUp: ReadonlyArray<ReplicaId>) =>
    Effect.suspend(() => {
      const refusal = refusalOf(givenUp, { isVoting: obstacles.isVoting(), peers: peers.all() })
      return refusal === undefined ? Effect.succeed(Voting.lossOf(peerIds, givenUp)) : Effect.fail(refusal)
    })

  return Membership.of({
    lives: lives.all,
    marked: absence.marks,
    hash: lives.hash,
    isVoting: obstacles.isVoting,
    isStale: standing.isStale,
    borrowed: standing.borrowed,
    borrows: standing.borrows,
    adopted: (before) => {
      standing.adopted(before)
      settling.again()
    },
    vector: (peer) => {
      const vector = logs.vector()
      if (!standing.isToOffer()) return vector
      const compared = peers.all().map(({ watermarks }) => watermarks)
      return OnlyHere.shared(vector, compared, standing.owners(), peer)
    },
    isToOffer: standing.isToOffer,
    owners: standing.owners,
    toOffer: Effect.suspend(() => (missing.toMend() === undefined ? standing.toOffer : Effect.undefined)),
    offered: () => {
      standing.offered()
      settling.again()
    },
    isBlank: standing.isBlank,
    restoredFrom: standing.restoredFrom,
    toFetch: standing.toFetch,
    isGone: (seen) => onlyHere.isGone(seen, { lives: lives.all(), peers: peerIds }),
    obstacle: obstacles.obstacle,
    says: (peer) => {
      const restoredFrom = standing.restoredFrom()
      return {
        ...own(),
        voting: obstacles.isVoting(),
        blank: standing.isBlankTo(peer),
        ...(restoredFrom && { restoredFrom }),
        members: lives.all(),
        remembered: remembered.of(peer),
        clock: logs.clock(),
        floor: floor.says(),
        ...(absence.says().turn === 0 ? {} : { away: absence.says() })
      }
    },
    isFormer: lives.isFormer,
    receive: (peer, incarnation, stored) => arrivals.receive(() => lives.isFormer(peer, incarnation), stored),
    isArriving: arrivals.hasStragglers,
    meet,
    answered,
    refused,
    differs: settling.differs,
    lacks: (peer, range) => {
      if (!missing.lacks(peer, range)) return
      settling.again()
      changed()
    },
    lost: missing.lost,
    mayWrite: obstacles.isAlone,
    kept,
    remembered: remembered.of,
    renewed: renewal.renewed,
    listen,
    lossOf,
    recover: (givenUp) => Effect.andThen(lossOf(givenUp), settling.recover(givenUp))
  })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<
  Membership,
  ReplicaStore.StoreError,
  ReplicaSet | ReplicaLogs | ReplicaStore.ReplicaStore | Peers
> = Layer.effect(Membership, make)
