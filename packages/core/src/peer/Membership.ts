/**
 * What this replica knows of the members' lives, and whether it counts for a quorum itself.
 *
 * A replica of which something acknowledged may be missing does not vote: it stores, serves pulls and pushes its own log,
 * but its acks count for nothing, it commits nothing and serves no reads. All that the answer to a handshake rests on is
 * durable before it is given.
 */
import { Clock, Context, Effect, Latch, Layer, Schedule, Semaphore } from "effect"
import { EventSink } from "../events/EventSink.ts"
import * as Life from "../identity/Life.ts"
import type * as LogId from "../identity/LogId.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import type * as DamagedRange from "../log/DamagedRange.ts"
import { compare, zero } from "../log/HybridLogicalClock.ts"
import * as Listeners from "../log/Listeners.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import * as ReplicaStore from "../log/ReplicaStore.ts"
import type * as Watermark from "../log/Watermark.ts"
import type * as Absence from "./internal/Absence.ts"
import * as AbsenceWatch from "./internal/AbsenceWatch.ts"
import * as Arrivals from "./internal/Arrivals.ts"
import * as Doubt from "./internal/Doubt.ts"
import * as FormerLogs from "./internal/FormerLogs.ts"
import * as Kept from "./internal/Kept.ts"
import * as Lives from "./internal/Lives.ts"
import * as Missing from "./internal/Missing.ts"
import * as OnlyHere from "./internal/OnlyHere.ts"
import * as OwnFloor from "./internal/OwnFloor.ts"
import * as Notes from "./internal/membershipNotes.ts"
import * as Remembered from "./internal/Remembered.ts"
import * as Renewal from "./internal/Renewal.ts"
import * as Standing from "./internal/Standing.ts"
import * as Voting from "./internal/Voting.ts"
import type { Said, Says } from "./Greeting.ts"
import type * as PeerProtocol from "./PeerProtocol.ts"
import { Peers } from "./Peers.ts"

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
    /** How far it holds every log, as peers are told: not of logs of which it may be the only one to hold so much. */
    readonly vector: () => Watermark.VersionVector
    /** Whether it recovers, and it is not decided yet about what only it holds. */
    readonly isToOffer: () => boolean
    /** What only it holds, when it is time to decide about that: all else is here that it waits for before it votes. */
    readonly toOffer: () => OnlyHere.Tails | undefined
    /** It was decided: nothing is left that has to be. */
    readonly offered: () => void
    /** Whether its store was created empty, and nobody has told since whether that was a first start or a loss. */
    readonly isBlank: () => boolean
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
    /**
     * Overrules what this replica waits for: nothing is waited for from the members that are given up, and what only
     * they hold is lost. Says in the log first what may be lost.
     */
    readonly recover: (givenUp: ReadonlyArray<ReplicaId>) => Effect.Effect<string>
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
  /** Who says that another process has this replica's id: one that may have acked what is not here. */
  const duplicates = new Set<ReplicaId>()
  let forked: { readonly log: LogId.LogId; readonly peer: ReplicaId } | undefined
  /** Whose floor this run has begun with: see `meet`. */
  const floorsOf = new Set<ReplicaId>()
  const changed = Latch.makeUnsafe(true)
  const { listen, tell: tellChange } = Listeners.make()
  /** One change at a time, from what it rests on to what is durable. */
  const changing = Semaphore.makeUnsafe(1)
  const remembered = yield* Remembered.make(store, noted.remembered)
  const arrivals = Arrivals.make()
  const onlyHere = OnlyHere.make()
  const here = { self, peers: peerIds, logs, store, sink, own, changing, changed: tellChange }
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
  const former = FormerLogs.make({ logs, kept, givenUp: standing.givenUp, changed: tellChange })
  const { endOfLog, lacks, lost, toMend } = Missing.make(logs, standing.waitedFor)
  const { outlive, renewFor, renewed, stopped } = Renewal.make({
    ...here,
    lose: () => {
      standing.lose()
      former.forget()
    },
    onRenewed: lives.renewed
  })
  const isAlone = (): boolean => stopped() === undefined && duplicates.size === 0
  const isVoting = (): boolean =>
    standing.isVoting() && isAlone() && toMend() === undefined && former.obstacle() === undefined

  /** Why this replica needs another log although no peer has said so. */
  const broken = () => {
    if (forked?.log === logs.own) {
      return { because: `${forked.peer} holds other entries of this replica's own log ${forked.log}` }
    }
    return endOfLog(standing.isVoting())
  }

  /** Gives up the ends that nobody can tell; what was counted of them is waited for by then. */
  const cutEnds = Effect.suspend(() =>
    standing.isVoting()
      ? Effect.void
      : Effect.forEach(logs.unknownEnds(), (log) => (log === logs.own ? Effect.void : logs.cut(log)), { discard: true })
  )

  /** What is known of the members' copies of a log, and what they answered, was of entries that are given up (law L52). */
  const replaced = (log: LogId.LogId, after: number): void => {
    remembered.forget(log)
    standing.withoutAll()
    const monotonicMillis = Monotonic.millis(clock)
    for (const peer of peerIds) peers.report({ _tag: "Replaced", peer, log, after, monotonicMillis })
  }

  /**
   * Takes up the floor of a member once in a run: whoever rests on one that this replica gave and does not know any more,
   * because its store was put back as it was before, rests on one of each other member too (see `Floors`).
   */
  const beginWith = ({ floor, replica }: Pick<Said, "floor" | "replica">) =>
    Effect.suspend(() => {
      if (floor === undefined || floorsOf.has(replica)) return Effect.void
      const raised = compare(floor.clock, logs.floor()) > 0 ? logs.raiseFloor(floor.clock) : Effect.void
      return Effect.map(raised, () => void floorsOf.add(replica))
    })

  yield* Effect.acquireRelease(
    Effect.sync(() => [
      peers.listen((event) => {
        if (event._tag === "Ack") remembered.add(event.peer, event.incarnation, event.watermark)
      }),
      logs.onAppend(() => (standing.isVoting() ? former.appended() : changed.openUnsafe())),
      logs.onDamage((change) => {
        if (change._tag === "Cut" && change.goesOn) replaced(change.log, change.end)
        changed.openUnsafe()
        tellChange()
      })
    ]),
    (stops) => Effect.sync(() => stops.forEach((stop) => stop()))
  )
  if (standing.isLost() && peerIds.length === 0) {
    yield* Effect.logWarning(
      "the store is a copy, or was restored; there are no members who could know more, so it is used"
    )
  }
  yield* standing.settle
  yield* Effect.gen(function* () {
    while (true) {
      yield* changed.await
      changed.closeUnsafe()
      yield* Effect.retry(
        Effect.andThen(Effect.andThen(renewFor(broken), cutEnds), standing.settle),
        Schedule.spaced(1000)
      )
    }
  }).pipe(Effect.forkScoped)

  const hearAnswer = (
    asked: LogId.Incarnation,
    { blank, everSwept, floor, incarnation, replica, vector, voting }: Said
  ): void => {
    if (duplicates.delete(replica)) tellChange()
    // What one of the two gives up of a forked log, it will hold elsewhere.
    if (standing.isVoting() || asked !== logs.identity.incarnation || peers.get(replica).drifted.size > 0) return
    const floorClock = floor?.clock ?? zero
    // A release that does not say how far it has swept has not swept beyond its floor.
    const answer = { incarnation, voting, blank, vector, floor: floorClock, everSwept: everSwept ?? floorClock }
    standing.heard(replica, answer)
    changed.openUnsafe()
  }

  const absence = yield* AbsenceWatch.make({
    ...here,
    noted: noted.away,
    lives,
    isVoting,
    patience: { millis: yield* AwayAfter, bytes: yield* AwayBytes }
  })

  return Membership.of({
    lives: lives.all,
    marked: absence.marks,
    hash: lives.hash,
    isVoting,
    isStale: standing.isStale,
    borrowed: standing.borrowed,
    borrows: standing.borrows,
    adopted: (before) => {
      standing.adopted(before)
      changed.openUnsafe()
    },
    vector: () => (standing.isToOffer() ? onlyHere.shared(logs.vector(), lives.all()) : logs.vector()),
    isToOffer: standing.isToOffer,
    toOffer: () => (toMend() === undefined ? standing.toOffer() : undefined),
    offered: () => {
      standing.offered()
      changed.openUnsafe()
    },
    isBlank: standing.isBlank,
    obstacle: () => {
      const reason = stopped()
      if (reason !== undefined) return reason
      const sayers = peerIds.filter((peer) => duplicates.has(peer))
      if (sayers.length > 0) return `another live process has the id ${self}, says ${sayers.join(", ")}`
      const range = toMend()
      if (standing.isVoting() && range !== undefined) {
        return `entries ${range.from} to ${range.to} of ${range.log} are damaged here, and are fetched from the members`
      }
      return standing.isVoting() ? former.obstacle() : standing.obstacle()
    },
    says: (peer) => ({
      ...own(),
      voting: isVoting(),
      blank: standing.isBlankTo(peer),
      members: lives.all(),
      remembered: remembered.of(peer),
      clock: logs.clock(),
      floor: OwnFloor.of(logs, kept.all(), lost(), arrivals.hasStragglers()),
      ...(absence.says().turn === 0 ? {} : { away: absence.says() })
    }),
    isFormer: lives.isFormer,
    receive: (peer, incarnation, stored) => arrivals.receive(() => lives.isFormer(peer, incarnation), stored),
    meet: (said) =>
      Effect.gen(function* () {
        const { incarnation, members, replica, run, startedAt, starts, vector } = said
        yield* lives.learn({ ...members, [replica]: { incarnation, run, startedAt, starts } })
        yield* beginWith(said)
        onlyHere.heard(replica, vector, said.voting)
        yield* absence.met(said)
        const newest = Life.of(members, self)
        if (newest !== undefined) yield* outlive(newest)
        // What was acked in another life is not what this one is asked for.
        const isAsked = () => standing.isVoting() && newest?.incarnation === logs.identity.incarnation
        yield* renewFor(() => Doubt.of(logs, kept, said, isAsked()))
        const news = standing.isVoting() ? former.heard(replica, vector) : undefined
        if (news !== undefined) yield* Effect.logWarning(`this replica does not vote for now: ${news}`)
      }),
    answered: ({ away, incarnation: asked }, welcome) =>
      Effect.suspend(() => {
        hearAnswer(asked, welcome)
        return absence.answered(welcome.replica, away?.marks ?? {})
      }),
    refused: (peer, { newest, reason }) =>
      Effect.suspend(() => {
        if (reason === "duplicate" && !duplicates.has(peer)) {
          duplicates.add(peer)
          tellChange()
        }
        return newest === undefined ? Effect.void : outlive(newest)
      }),
    differs: (peer, log) => {
      standing.without(peer)
      if (log !== logs.own) return
      // A place of the own log was given away twice.
      forked = { log, peer }
      changed.openUnsafe()
    },
    lacks: (peer, range) => {
      if (!lacks(peer, range)) return
      changed.openUnsafe()
      tellChange()
    },
    lost,
    mayWrite: isAlone,
    kept,
    remembered: remembered.of,
    renewed,
    listen,
    recover: Effect.fnUntraced(function* (members) {
      const loss = Voting.lossOf(peerIds, members)
      yield* Effect.logWarning(`recovery is overruled: ${loss}`)
      standing.giveUp(members)
      changed.openUnsafe()
      tellChange()
      return loss
    })
  })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<
  Membership,
  ReplicaStore.StoreError,
  ReplicaSet | ReplicaLogs | ReplicaStore.ReplicaStore | Peers
> = Layer.effect(Membership, make)
