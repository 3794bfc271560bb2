/**
 * Where this replica stands: whether it votes, and what it waits for before it does.
 *
 * It votes from when the members have answered that all were blank, or it holds what so many of them hold that nothing is
 * missing that it was ever counted for; see `Voting`.
 */
import { Effect, Option, type Semaphore } from "effect"
import type { EventSink } from "../../events/EventSink.ts"
import * as Life from "../../identity/Life.ts"
import type * as LogId from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as BackupOrigin from "../../log/BackupOrigin.ts"
import * as ReplicaStore from "../../log/ReplicaStore.ts"
import type * as Watermark from "../../log/Watermark.ts"
import * as Notes from "./membershipNotes.ts"
import * as OnlyHere from "./OnlyHere.ts"
import * as Voting from "./Voting.ts"

/** Begins as it is noted. `changing` is held while it changes, and `changed` is called when it has. */
export const make = ({
  changed,
  changing,
  lives,
  logs,
  noted,
  peers,
  sink,
  store
}: {
  readonly noted: Pick<
    Effect.Success<ReturnType<typeof Notes.load>>,
    "standing" | "restored" | "restoredFrom" | "founders"
  >
  readonly peers: ReadonlyArray<ReplicaId>
  readonly logs: ReplicaLogs["Service"]
  readonly store: ReplicaStore.ReplicaStore["Service"]
  readonly sink: EventSink
  readonly lives: () => Life.Lives
  readonly changing: Semaphore.Semaphore
  readonly changed: () => void
}) => {
  let standing: Notes.Standing = noted.standing
  /** It was restored from a backup, or lost something, and has not been compared with what the members have erased. */
  let stale = standing === "lost" || noted.restored
  /** It has entries of a time before it recovered, and it was not decided yet about those that only it holds. */
  let unoffered = stale
  /** How far each log of others went here as this life began. */
  let before: Watermark.VersionVector = []
  const begin = (): void => void (before = logs.heads().filter(({ log }) => log !== logs.own))
  begin()
  let borrowed = 0
  let founders = noted.founders
  let restoredFrom = noted.restoredFrom
  let answers: Voting.Answers = new Map()
  let givenUp: ReadonlySet<ReplicaId> = new Set()

  const situation = (): Voting.Situation => ({
    peers,
    blank: standing === "blank",
    restoredFrom,
    answers,
    givenUp,
    holds: (_peer, { log, seq }) => logs.announced(log) >= seq
  })
  const waitedFor = (): ReadonlyArray<ReplicaId> => Voting.waitedFor({ peers, givenUp })
  const isVoting = (): boolean => standing === "voting"
  const isStale = (): boolean => stale && standing !== "voting" && waitedFor().length > 0
  const isToOffer = (): boolean => unoffered && standing !== "voting" && waitedFor().length > 0
  const owners = (): OnlyHere.Owners => ({ lives: lives(), before })
  const tails = (): OnlyHere.Tails => OnlyHere.of(logs.heads(), answers, owners())

  const mayRecover = (): boolean => !isStale() && Voting.decide(situation()) === "recovered"

  /**
   * Takes out the answers of those who hold other entries of a log, which is as long here by now with entries of somebody
   * else: what they hold comes once one of the two has given its side up (decision 0042). Whether all stands.
   */
  const allStands = Effect.gen(function* () {
    const before = answers
    for (const [peer, { vector, voting }] of before) {
      for (const { chain, log, seq } of voting ? vector : []) {
        const here = Option.flatten(yield* Effect.option(logs.chainAt(log, seq)))
        if (Option.isSome(here) && here.value !== chain) answers = Voting.without(answers, peer)
      }
    }
    return answers === before && mayRecover()
  })

  /** Whether all is here that it waits for, but for what only it holds. */
  const isRecovered = Effect.suspend(() => (mayRecover() ? allStands : Effect.succeed(false)))

  /** Why it votes from now on, if it does. */
  const outcome = Effect.suspend((): Effect.Effect<"founded" | "recovered" | undefined> => {
    if (standing === "voting") return Effect.undefined
    if (Voting.decide(situation()) === "founded") return Effect.succeed("founded")
    return Effect.map(isRecovered, (isIt) =>
      isIt && !(isToOffer() && tails().tails.length > 0) ? "recovered" : undefined
    )
  })

  /** Votes from now on, when all is here that that takes. */
  const settle = changing.withPermit(
    Effect.flatMap(outcome, (because) => {
      if (because === undefined) return Effect.void
      const next = because === "founded" ? lives() : {}
      const notes = {
        [ReplicaStore.recoveringNote]: "",
        [ReplicaStore.restoredNote]: "",
        // Who recovers holds what the members hold, whatever it was before.
        ...(because === "recovered" ? { [BackupOrigin.note]: "" } : {}),
        ...Notes.encode({ founders: next })
      }
      const noted = Effect.andThen(
        logs.raiseFloor(Voting.floorOf(answers)),
        Effect.uninterruptible(store.setNotes(notes))
      )
      return Effect.flatMap(noted, () => {
        standing = "voting"
        founders = next
        if (because === "recovered") restoredFrom = undefined
        changed()
        if (sink.active()) sink.tell({ _tag: "VotingBegan", because })
        return Effect.logInfo(
          because === "founded"
            ? "all members are blank: the replica set begins, and this replica votes"
            : "this replica holds all that it may have acknowledged, and votes"
        )
      })
    })
  )

  return {
    isVoting,
    isLost: () => standing === "lost",
    isBlank: () => standing === "blank",
    /** Whether a peer is told so: also one, in the same life, with which it has begun the set, and that may not know yet. */
    isBlankTo: (peer: ReplicaId): boolean =>
      standing === "blank" ||
      (Life.of(founders, peer) !== undefined && founders[peer]!.incarnation === Life.of(lives(), peer)?.incarnation),
    /** The backup that its store was filled from, unless it has recovered from members since. */
    restoredFrom: () => restoredFrom,
    isStale,
    isToOffer,
    settle,
    waitedFor,
    /** Members that an operator has given up. */
    givenUp: () => givenUp,
    giveUp: (members: ReadonlyArray<ReplicaId>): void => void (givenUp = new Set(members)),
    /** A member that was given up is there and votes: it is waited for again. Whether it had been given up. */
    isBack: (peer: ReplicaId): boolean => {
      if (!givenUp.has(peer)) return false
      givenUp = new Set(Array.from(givenUp).filter((id) => id !== peer))
      return true
    },
    /** It may have lost what it was counted for: whatever was answered before was of another life. */
    lose: (): void => {
      standing = "lost"
      stale = true
      unoffered = true
      begin()
      answers = new Map()
      founders = {}
    },
    heard: (peer: ReplicaId, answer: Voting.Answer): void => void (answers = Voting.heard(answers, peer, answer)),
    /** A peer has another life than the one that answered. */
    fallen: (peer: ReplicaId, newest: LogId.Incarnation): void => void (answers = Voting.fallen(answers, peer, newest)),
    /** What a peer answered does not count: it is asked again. */
    without: (peer: ReplicaId): void => void (answers = Voting.without(answers, peer)),
    withoutAll: (): void => void (answers = new Map()),
    /** How often it has borrowed. */
    borrowed: () => borrowed,
    /** Entries are about to be taken from a peer that may hold what others have erased since. */
    borrows: Effect.suspend(() => {
      borrowed++
      // Who votes takes only what it never had, which nobody has erased.
      return standing === "voting" || stale
        ? Effect.void
        : Effect.map(store.setNotes({ [ReplicaStore.restoredNote]: "yes" }), () => void (stale = true))
    }),
    /** What a voting member has erased is erased here too. */
    adopted: (before: number): void => {
      // What was taken meanwhile was not looked at.
      if (before === borrowed) stale = false
    },
    owners,
    /** It was decided about what only it holds. */
    offered: (): void => void (unoffered = false),
    /** What only it holds, once all else is here. */
    toOffer: Effect.suspend(() =>
      isToOffer() ? Effect.map(isRecovered, (isIt) => (isIt ? tails() : undefined)) : Effect.undefined
    ),
    /** How many entries it has to fetch before it votes, as far as members have answered. */
    toFetch: (): number => (standing === "voting" ? 0 : Voting.toFetch(answers, logs.announced)),
    /** What is waited for, in words, of a replica that does not vote. */
    obstacle: (): string => {
      const different = Voting.differentBackups(situation())
      if (different !== undefined) return different
      const rest = isStale() ? "; what the members have erased is erased here first" : ""
      const why = standing === "blank" ? "its store is new" : "it may lack what it acknowledged"
      return `${why}: ${Voting.waitsFor(situation())}${rest}`
    }
  }
}
