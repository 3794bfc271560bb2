/**
 * What this replica takes in of what a peer says in a handshake of either direction, and what it does about it: a life that
 * is news, or a word that shows that something is missing here, may make it begin another life.
 */
import { Effect } from "effect"
import * as Life from "../../identity/Life.ts"
import type * as LogId from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import { zero } from "../../log/HybridLogicalClock.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as ReplicaStore from "../../log/ReplicaStore.ts"
import type { HandshakeRefused, Said, Says } from "../Greeting.ts"
import type { Peers } from "../Peers.ts"
import type * as AbsenceWatch from "./AbsenceWatch.ts"
import * as Doubt from "./Doubt.ts"
import type * as FormerLogs from "./FormerLogs.ts"
import type * as Kept from "./Kept.ts"
import type * as Lives from "./Lives.ts"
import type * as Obstacles from "./Obstacles.ts"
import type * as OnlyHere from "./OnlyHere.ts"
import type * as OwnFloor from "./OwnFloor.ts"
import type * as Renewal from "./Renewal.ts"
import type * as Settling from "./Settling.ts"
import type * as Standing from "./Standing.ts"

/** What hears of it. */
export interface Here {
  readonly self: ReplicaId
  readonly logs: ReplicaLogs["Service"]
  readonly peers: Pick<Peers["Service"], "get">
  readonly kept: Kept.Kept
  readonly lives: Pick<ReturnType<typeof Lives.make>, "learn">
  readonly floor: Pick<ReturnType<typeof OwnFloor.make>, "beginWith">
  readonly onlyHere: Pick<ReturnType<typeof OnlyHere.make>, "heard">
  readonly absence: Pick<Effect.Success<ReturnType<typeof AbsenceWatch.make>>, "met" | "answered">
  readonly standing: Pick<ReturnType<typeof Standing.make>, "isVoting" | "heard" | "isBack">
  readonly former: Pick<ReturnType<typeof FormerLogs.make>, "heard">
  readonly renewal: Pick<ReturnType<typeof Renewal.make>, "outlive" | "renewFor">
  readonly obstacles: Pick<ReturnType<typeof Obstacles.make>, "duplicate" | "known">
  readonly settling: Pick<Effect.Success<ReturnType<typeof Settling.make>>, "again">
}

/** Begins with nobody met. */
export const make = (here: Here) => {
  const { absence, floor, former, kept, lives, logs, obstacles, onlyHere, peers, renewal, self, settling, standing } =
    here

  /** What a peer answered to this life is what this replica waits for before it votes. */
  const hear = (asked: LogId.Incarnation, said: Said): void => {
    const { blank, everSwept, incarnation, replica, restoredFrom, vector, voting } = said
    obstacles.known(replica)
    // What one of the two gives up of a forked log, it will hold elsewhere.
    if (standing.isVoting() || asked !== logs.identity.incarnation || peers.get(replica).drifted.size > 0) return
    const floorClock = said.floor?.clock ?? zero
    // A release that does not say how far it has swept has not swept beyond its floor.
    const answer = {
      incarnation,
      voting,
      blank,
      restoredFrom,
      vector,
      floor: floorClock,
      everSwept: everSwept ?? floorClock
    }
    standing.heard(replica, answer)
    settling.again()
  }

  return {
    /** Takes in what a peer says, whoever has asked. What is new is durable when this returns. */
    meet: (said: Said): Effect.Effect<void, ReplicaStore.StoreError> =>
      Effect.gen(function* () {
        const { incarnation, members, replica, run, startedAt, starts, vector } = said
        yield* lives.learn({ ...members, [replica]: { incarnation, run, startedAt, starts } })
        yield* floor.beginWith(said)
        onlyHere.heard(said)
        if (said.voting && standing.isBack(replica)) settling.again()
        yield* absence.met(said)
        const newest = Life.of(members, self)
        if (newest !== undefined) yield* renewal.outlive(newest)
        // What was acked in another life is not what this one is asked for.
        const isAsked = () => standing.isVoting() && newest?.incarnation === logs.identity.incarnation
        yield* renewal.renewFor(() => Doubt.of(logs, kept, said, isAsked()))
        const news = standing.isVoting() ? former.heard(replica, vector) : undefined
        if (news !== undefined) yield* Effect.logWarning(`this replica does not vote for now: ${news}`)
      }),
    /** A peer has answered a handshake in which this replica said this of itself. */
    answered: ({ away, incarnation: asked }: Says, welcome: Said): Effect.Effect<void, ReplicaStore.StoreError> =>
      Effect.suspend(() => {
        hear(asked, welcome)
        return absence.answered(welcome.replica, away?.marks ?? {})
      }),
    /** A peer has refused this replica. */
    refused: (peer: ReplicaId, { newest, reason }: HandshakeRefused): Effect.Effect<void, ReplicaStore.StoreError> =>
      Effect.suspend(() => {
        if (reason === "duplicate") obstacles.duplicate(peer)
        return newest === undefined ? Effect.void : renewal.outlive(newest)
      })
  }
}
