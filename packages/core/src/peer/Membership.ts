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
import * as Absence from "./internal/Absence.ts"
import * as Arrivals from "./internal/Arrivals.ts"
import * as Doubt from "./internal/Doubt.ts"
import * as FormerLogs from "./internal/FormerLogs.ts"
import * as Kept from "./internal/Kept.ts"
import * as Missing from "./internal/Missing.ts"
import * as OnlyHere from "./internal/OnlyHere.ts"
import * as OwnFloor from "./internal/OwnFloor.ts"
import * as Notes from "./internal/membershipNotes.ts"
import * as Remembered from "./internal/Remembered.ts"
import * as Voting from "./internal/Voting.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import { Peers } from "./Peers.ts"

/** How long, in milliseconds, a member may be away before it is marked, so that a majority may go on without it. */
export const AwayAfter = Context.Reference<number>("@quorum/core/AwayAfter", {
  defaultValue: () => 7 * 24 * 60 * 60 * 1000
})

/** How many bytes may be appended while a member is away before it is marked all the same; without a bound by default. */
export const AwayBytes = Context.Reference<number>("@quorum/core/AwayBytes", { defaultValue: () => Infinity })

/** What either side of a handshake says of itself. */
export type Says = Pick<PeerProtocol.Welcome, keyof typeof PeerProtocol.says>

/** What either side of a handshake says, and what it holds. */
export type Said = Says & Pick<PeerProtocol.Welcome, "everSwept" | "replica" | "vector">

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

  let standing: Notes.Standing = noted.standing
  /** It was restored from a backup, or lost something, and has not been compared with what the members have erased. */
  let stale = standing === "lost" || noted.restored
  /** It has entries of a time before it recovered, and it was not decided yet about those that only it holds. */
  let unoffered = stale
  const onlyHere = OnlyHere.make()
  const absence = Absence.make(store, peerIds, noted.away)
  let appendedBytes = 0
  const moment = () => ({ millis: Monotonic.millis(clock), bytes: appendedBytes })
  let borrowed = 0
  let founders = noted.founders
  let lives: Life.Lives = { ...Life.merge({}, noted.lives, peerIds), [self]: own() }
  let hashed: { readonly lives: Life.Lives; readonly hash: number } | undefined
  let answers: Voting.Answers = new Map()
  let givenUp: ReadonlySet<ReplicaId> = new Set()
  const kept = Kept.make(store, noted.givenUp)
  /** Who says that another process has this replica's id: one that may have acked what is not here. */
  const duplicates = new Set<ReplicaId>()
  let stopped: string | undefined
  let forked: { readonly log: LogId.LogId; readonly peer: ReplicaId } | undefined
  /** Whose floor this run has begun with: see `meet`. */
  const floorsOf = new Set<ReplicaId>()
  /** How often this run has taken another life above one that was said to be its own. */
  let outlived = 0
  const renewal = Latch.makeUnsafe()
  const changed = Latch.makeUnsafe(true)
  const { listen, tell: tellChange } = Listeners.make()
  /** One change at a time, from what it rests on to what is durable. */
  const changing = Semaphore.makeUnsafe(1)
  const remembered = yield* Remembered.make(store, noted.remembered)
  const former = FormerLogs.make({ logs, kept, givenUp: () => givenUp, changed: tellChange })
  for (const peer of peerIds) {
    const life = Life.of(lives, peer)
    if (life === undefined) continue
    peers.met(peer, life.incarnation)
    remembered.met(peer, life.incarnation)
  }

  const { endOfLog, lacks, lost, toMend } = Missing.make(logs, () => Voting.waitedFor(situation()))
  const arrivals = Arrivals.make()
  const isStale = (): boolean => stale && standing !== "voting" && Voting.waitedFor(situation()).length > 0
  const isToOffer = (): boolean => unoffered && standing !== "voting" && Voting.waitedFor(situation()).length > 0
  const tails = (): OnlyHere.Tails => OnlyHere.of(logs.heads(), answers, lives)
  const isAlone = (): boolean => stopped === undefined && duplicates.size === 0
  const isVoting = (): boolean =>
    standing === "voting" && isAlone() && toMend() === undefined && former.obstacle() === undefined
  const situation = (): Voting.Situation => ({
    peers: peerIds,
    blank: standing === "blank",
    answers,
    givenUp,
    holds: (_peer, { log, seq }) => logs.announced(log) >= seq
  })

  const isFormer = (peer: ReplicaId, incarnation: LogId.Incarnation): boolean => {
    const newest = Life.of(lives, peer)?.incarnation
    return newest !== undefined && newest > incarnation
  }

  /** Votes from now on, when all is here that that takes. */
  const settle = changing.withPermit(
    Effect.suspend(() => {
      const outcome = standing === "voting" ? undefined : Voting.decide(situation())
      if (outcome === undefined || (outcome === "recovered" && isStale())) return Effect.void
      if (outcome === "recovered" && isToOffer() && tails().tails.length > 0) return Effect.void
      const next = outcome === "founded" ? lives : {}
      const notes = {
        [ReplicaStore.recoveringNote]: "",
        [ReplicaStore.restoredNote]: "",
        ...Notes.encode({ founders: next })
      }
      const noted = Effect.andThen(
        logs.raiseFloor(Voting.floorOf(answers)),
        Effect.uninterruptible(store.setNotes(notes))
      )
      return Effect.flatMap(noted, () => {
        standing = "voting"
        founders = next
        tellChange()
        if (sink.active()) sink.tell({ _tag: "VotingBegan", because: outcome })
        return Effect.logInfo(
          outcome === "founded"
            ? "all members are blank: the replica set begins, and this replica votes"
            : "this replica holds all that it may have acknowledged, and votes"
        )
      })
    })
  )

  /** Takes another life when there is a reason, which is looked for once it is this change's turn. */
  const renewFor = (reason: () => { readonly because: string; readonly above?: LogId.Incarnation } | undefined) =>
    changing.withPermit(
      Effect.suspend(() => {
        const found = reason()
        if (found === undefined) return Effect.void
        // From here on it answers nothing that counts, whatever becomes of the disk.
        standing = "lost"
        stale = true
        unoffered = true
        answers = new Map()
        founders = {}
        former.forget()
        tellChange()
        // Whoever asked may be gone by then: it is the next life all the same, and is known as that.
        return Effect.flatMap(logs.renew(found.above), (incarnation) => {
          lives = { ...lives, [self]: own() }
          renewal.openUnsafe()
          renewal.closeUnsafe()
          tellChange()
          if (sink.active()) sink.tell({ _tag: "Renewed", incarnation, because: found.because })
          return Effect.logWarning(
            `${found.because}; this replica opens the log ${logs.own} and does not vote until it holds all that it may ` +
              "have acknowledged"
          )
        }).pipe(Effect.uninterruptible)
      })
    )

  /** A newer life than this one has this replica's id: an older copy goes on here, or another process runs there. */
  const outlive = (newest: Life.Life) => {
    let isOneTooMany = false
    // Looked at in its turn: several peers refuse the same life at once, and the first of them has it renewed.
    const renewed = renewFor(() => {
      if (Life.compare(newest, own()) <= 0) return undefined
      const isLater = newest.startedAt > startedAt || (newest.startedAt === startedAt && newest.run > logs.run)
      // Each peer knows of one former life at most, so whoever has outlived so many meets a process that goes on.
      isOneTooMany = outlived >= peerIds.length && !isLater
      if (isOneTooMany) {
        stopped = `another process with the id ${self} is alive, and this one began later`
        tellChange()
        return undefined
      }
      outlived++
      return { because: `a newer life of this replica is known, ${newest.incarnation}`, above: newest.incarnation }
    })
    const said = Effect.suspend(() =>
      isOneTooMany
        ? Effect.logError(`${stopped}; stop one of the two, then start this one again if it is the right one`)
        : Effect.void
    )
    return Effect.andThen(renewed, said)
  }

  /** Why this replica needs another log although no peer has said so. */
  const broken = () => {
    if (forked?.log === logs.own) {
      return { because: `${forked.peer} holds other entries of this replica's own log ${forked.log}` }
    }
    return endOfLog(standing === "voting")
  }

  /** Gives up the ends that nobody can tell; what was counted of them is waited for by then. */
  const cutEnds = Effect.suspend(() =>
    standing === "voting"
      ? Effect.void
      : Effect.forEach(logs.unknownEnds(), (log) => (log === logs.own ? Effect.void : logs.cut(log)), { discard: true })
  )

  /** What is known of the members' copies of a log, and what they answered, was of entries that are given up (law L52). */
  const replaced = (log: LogId.LogId, after: number): void => {
    remembered.forget(log)
    answers = new Map()
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

  const learn = (heard: Life.Lives) =>
    Effect.suspend(() => {
      if (Life.merge(lives, heard, peerIds) === lives) return Effect.void
      return changing.withPermit(
        Effect.suspend(() => {
          const merged = Life.merge(lives, heard, peerIds)
          const isNews = Life.hash(merged) !== Life.hash(lives)
          const note = isNews ? store.setNotes(Notes.encode({ lives: merged })) : Effect.void
          return Effect.map(Effect.uninterruptible(note), () => {
            lives = merged
            if (isNews) arrivals.onNewLife()
            for (const peer of peerIds) {
              const life = Life.of(merged, peer)
              if (life === undefined) continue
              // What a former life acked is taken back, here and in what is remembered (law L57).
              peers.met(peer, life.incarnation)
              remembered.met(peer, life.incarnation)
              answers = Voting.fallen(answers, peer, life.incarnation)
            }
          })
        })
      )
    })

  yield* Effect.acquireRelease(
    Effect.sync(() => [
      peers.listen((event) => {
        if (event._tag === "Ack") remembered.add(event.peer, event.incarnation, event.watermark)
      }),
      logs.onAppend(({ bytes }) => void (appendedBytes += bytes.length)),
      logs.onAppend(() => (standing === "voting" ? former.appended() : changed.openUnsafe())),
      logs.onDamage((change) => {
        if (change._tag === "Cut" && change.goesOn) replaced(change.log, change.end)
        changed.openUnsafe()
        tellChange()
      })
    ]),
    (stops) => Effect.sync(() => stops.forEach((stop) => stop()))
  )
  if (standing === "lost" && peerIds.length === 0) {
    yield* Effect.logWarning(
      "the store is a copy, or was restored; there are no members who could know more, so it is used"
    )
  }
  yield* settle
  yield* Effect.gen(function* () {
    while (true) {
      yield* changed.await
      changed.closeUnsafe()
      yield* Effect.retry(Effect.andThen(Effect.andThen(renewFor(broken), cutEnds), settle), Schedule.spaced(1000))
    }
  }).pipe(Effect.forkScoped)

  const hearAnswer = (
    asked: LogId.Incarnation,
    { blank, everSwept, floor, incarnation, replica, vector, voting }: Said
  ): void => {
    if (duplicates.delete(replica)) tellChange()
    // What one of the two gives up of a forked log, it will hold elsewhere.
    if (standing === "voting" || asked !== logs.identity.incarnation || peers.get(replica).drifted.size > 0) return
    const floorClock = floor?.clock ?? zero
    // A release that does not say how far it has swept has not swept beyond its floor.
    const answer = { incarnation, voting, blank, vector, floor: floorClock, everSwept: everSwept ?? floorClock }
    answers = Voting.heard(answers, replica, answer)
    changed.openUnsafe()
  }

  const heartbeatMillis = yield* PeerProtocol.HeartbeatInterval
  const patience = {
    millis: yield* AwayAfter,
    bytes: yield* AwayBytes,
    leastMillis: heartbeatMillis * silentHeartbeats
  }
  const began = moment()
  const lookForAbsent = Effect.gen(function* () {
    const situation = (): Absence.Situation => ({
      peers: absence.heard(moment(), began, patience.leastMillis),
      lives,
      marks: absence.marks(),
      lapsed: absence.lapsed(),
      patience
    })
    if (!isVoting()) return
    const marks = Absence.toMark(situation())
    if (Object.keys(marks).length > 0) {
      yield* absence.mark(marks)
      const names = Object.keys(marks).join(", ")
      yield* Effect.logWarning(`${names} is away too long: when a majority says so too, the others go on without it`)
    }
    const leftOut = yield* absence.inTurn(
      Effect.suspend(() => {
        const without = Absence.toLeaveOut(situation())
        return Effect.as(
          learn(without),
          Object.keys(without).map((peer) => peer as ReplicaId)
        )
      })
    )
    for (const peer of leftOut) {
      const incarnation = absence.marks()[peer]!
      if (sink.active()) sink.tell({ _tag: "LeftOut", peer, incarnation })
      yield* Effect.logWarning(
        `a majority has marked ${peer} as away too long: it holds nothing back any more, and recovers when it comes back`
      )
    }
  })
  yield* Effect.sleep(heartbeatMillis).pipe(
    // A store that fails is told of where it fails writes, and is asked again.
    Effect.andThen(Effect.ignore(lookForAbsent)),
    Effect.forever,
    Effect.forkScoped
  )

  return Membership.of({
    lives: () => lives,
    marked: absence.marks,
    hash: () => {
      // Asked for with every ack, and new once in a while.
      if (hashed?.lives !== lives) hashed = { lives, hash: Life.hash(lives) }
      return hashed.hash
    },
    isVoting,
    isStale,
    // Who votes takes only what it never had, which nobody has erased.
    borrowed: () => borrowed,
    borrows: Effect.suspend(() => {
      borrowed++
      return standing === "voting" || stale
        ? Effect.void
        : Effect.map(store.setNotes({ [ReplicaStore.restoredNote]: "yes" }), () => void (stale = true))
    }),
    adopted: (before) => {
      // What was taken meanwhile was not looked at.
      if (before === borrowed) stale = false
      changed.openUnsafe()
    },
    vector: () => (isToOffer() ? onlyHere.shared(logs.vector(), lives) : logs.vector()),
    isToOffer,
    toOffer: () =>
      isToOffer() && !isStale() && toMend() === undefined && Voting.decide(situation()) === "recovered"
        ? tails()
        : undefined,
    offered: () => {
      unoffered = false
      changed.openUnsafe()
    },
    isBlank: () => standing === "blank",
    obstacle: () => {
      if (stopped !== undefined) return stopped
      const sayers = peerIds.filter((peer) => duplicates.has(peer))
      if (sayers.length > 0) return `another live process has the id ${self}, says ${sayers.join(", ")}`
      const range = toMend()
      if (standing === "voting" && range !== undefined) {
        return `entries ${range.from} to ${range.to} of ${range.log} are damaged here, and are fetched from the members`
      }
      if (standing === "voting") return former.obstacle()
      const rest = isStale() ? "; what the members have erased is erased here first" : ""
      return `it may lack what it acknowledged: ${Voting.waitsFor(situation())}${rest}`
    },
    says: (peer) => ({
      ...own(),
      voting: isVoting(),
      blank:
        standing === "blank" ||
        (Life.of(founders, peer) !== undefined && founders[peer]!.incarnation === Life.of(lives, peer)?.incarnation),
      members: lives,
      remembered: remembered.of(peer),
      clock: logs.clock(),
      floor: OwnFloor.of(logs, kept.all(), lost(), arrivals.hasStragglers()),
      ...(absence.says().turn === 0 ? {} : { away: absence.says() })
    }),
    isFormer,
    receive: (peer, incarnation, stored) => arrivals.receive(() => isFormer(peer, incarnation), stored),
    meet: (said) =>
      Effect.gen(function* () {
        const { incarnation, members, replica, run, startedAt, starts, vector } = said
        yield* learn({ ...members, [replica]: { incarnation, run, startedAt, starts } })
        yield* beginWith(said)
        onlyHere.heard(replica, vector, said.voting)
        const away = said.away ?? { turn: 0, marks: {} }
        yield* absence.met(replica, { ...moment(), incarnation, voting: said.voting, away })
        const newest = Life.of(members, self)
        if (newest !== undefined) yield* outlive(newest)
        // What was acked in another life is not what this one is asked for.
        const isAsked = () => standing === "voting" && newest?.incarnation === logs.identity.incarnation
        yield* renewFor(() => Doubt.of(logs, kept, said, isAsked()))
        const news = standing === "voting" ? former.heard(replica, vector) : undefined
        if (news !== undefined) yield* Effect.logWarning(`this replica does not vote for now: ${news}`)
      }),
    answered: ({ away, incarnation: asked }, welcome) =>
      Effect.suspend(() => {
        hearAnswer(asked, welcome)
        return absence.answered(lives, welcome.replica, away?.marks ?? {})
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
      answers = Voting.without(answers, peer)
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
    renewed: Effect.suspend(() => renewal.await),
    listen,
    recover: Effect.fnUntraced(function* (members) {
      const loss = Voting.lossOf(peerIds, members)
      yield* Effect.logWarning(`recovery is overruled: ${loss}`)
      givenUp = new Set(members)
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

// ---------------------------------------------------------------------------------------------------------------------

/** After how many heartbeats without a word a member does not count as one that is there. */
const silentHeartbeats = 3
