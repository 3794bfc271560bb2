/**
 * Commits again what a log does not lead to the others any more: the side of a fork that does not stay, and what follows a
 * range that no member has. The entries go to this replica's own log first, durably; then the side is given up for what
 * the peer holds in its place. A crash in between has it done again, which makes one more copy of the same versions and
 * does no other harm.
 *
 * A replica that recovers may be the only one that holds its side, and the others may have forgotten deletes that came after
 * an entry of it. So it decides about that as about all that only it holds (`OnlyHere`), once it was compared with what the
 * members have erased, and gives it up whichever of the two would stay. Who else holds the side, and votes, commits it
 * again whole: of what it had not swept nothing is forgotten.
 */
import { Clock, Effect, Result } from "effect"
import type { LogId } from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import { zero } from "../../log/HybridLogicalClock.ts"
import * as DamagedRange from "../../log/DamagedRange.ts"
import * as GivenUp from "../GivenUp.ts"
import type { Membership } from "../Membership.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import type { Peers } from "../Peers.ts"
import type { Held, Keep } from "./Again.ts"
import type { Source } from "./CatchUp.ts"
import * as Evidence from "./Evidence.ts"
import * as Fork from "./Fork.ts"
import * as ForkSearch from "./ForkSearch.ts"
import * as OneAtATime from "./OneAtATime.ts"
import * as OnlyHere from "./OnlyHere.ts"
import * as OwnStore from "./OwnStore.ts"

/** The work of one replica, shared by its replicators. `mayWrite` says whether it may append to its own log. */
export const make = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  membership: Membership["Service"],
  peers: Peers["Service"],
  store: OwnStore.OwnStore,
  keep: Keep,
  mayWrite: () => boolean
) {
  const clock = yield* Clock.Clock
  const { forkOf, here, pull } = ForkSearch.make(logs)
  const { knownOf, questionOf } = Evidence.make(logs, store)
  /** A log is settled with one peer at a time. */
  const oneAtATime = OneAtATime.make<LogId>()
  /** The first entries of sides that do not stay, by the peer that has them and has to give them up. */
  const waitedFor = new Map<string, { readonly seq: number; readonly chain: Fork.Side["chain"] }>()

  /** Whether some of it is damaged and may yet be mended: what cannot be read cannot be committed again. */
  const isBeingMended = (range: DamagedRange.DamagedRange): boolean => {
    const lost = membership.lost()
    return logs.damaged().some((each) => {
      const isLost = lost.some((gap) => DamagedRange.contains(gap, each))
      return DamagedRange.overlaps(each, range) && !isLost
    })
  }

  /** With whom it was connected at a heartbeat before: all else that the peer held then was fetched. */
  const fetched = new Map<ReplicaId, string>()

  /** Whether all is here by which a replica that recovers decides about its side. */
  const isKnown = (peer: ReplicaId, { session, voting }: PeerProtocol.Welcome): boolean =>
    voting && !membership.isStale() && fetched.get(peer) === session

  /**
   * Whether this replica recovers, and no voting member is known to hold its side, which has this entry. Others are not told
   * of it, and do not take it over, whichever side would stay: it is decided first what of it may come back.
   */
  const isOnlyHere = (log: LogId, seq: number): boolean =>
    membership.isToOffer() && peers.all().every(({ watermarks }) => (watermarks.get(log)?.seq ?? 0) < seq)

  /** Which entries of a side are committed again: all, but for a replica that may be the only one to hold it. */
  const keepsOf = Effect.fnUntraced(function* (side: OnlyHere.Tail, peer: ReplicaId, welcome: PeerProtocol.Welcome) {
    if (!membership.isToOffer()) return () => true
    const { everSwept = welcome.floor?.clock ?? zero, vector, voting } = welcome
    const found = OnlyHere.ofSide(side, {
      heads: logs.heads(),
      differing: peers.get(peer).drifted,
      owners: membership.owners(),
      answer: { everSwept, peer, vector, voting }
    })
    const question = yield* questionOf({ ...found, tails: [side] })
    if (question instanceof OwnStore.OwnFault) return question
    const known = yield* knownOf(question.keys, found)
    if (known instanceof OwnStore.OwnFault) return known
    return ({ entry }: Held): boolean => OnlyHere.stays(entry, found, known)
  })

  /** Commits this replica's side again, and goes on with that of the peer. */
  const giveUp = Effect.fnUntraced(function* (
    asked: ForkSearch.Asked,
    { seq }: ForkSearch.Found,
    welcome: PeerProtocol.Welcome
  ) {
    const { log, source } = asked
    if (membership.isToOffer() && !isKnown(source.peer, welcome)) return undefined
    const batch = yield* pull(asked, seq, source.batchBytes())
    if (batch === undefined) return undefined
    for (let after = seq - 1; ;) {
      const upTo = logs.head(log).seq
      if (isBeingMended({ log, from: after + 1, to: upTo })) return undefined
      const keeps = yield* keepsOf({ log, after, upTo }, source.peer, welcome)
      if (keeps instanceof OwnStore.OwnFault) return keeps
      const fault = yield* keep({ log, after, upTo, because: "fork", peer: source.peer, keeps })
      if (fault !== undefined) return fault
      const replaced = yield* store.once(`give up a side of ${log}`, logs.replace(batch, upTo))
      if (Result.isFailure(replaced)) return replaced.failure._tag === "OwnFault" ? replaced.failure : undefined
      if (replaced.success) return undefined
      // More of the side came meanwhile.
      after = upTo
    }
  })

  const settle = Effect.fnUntraced(function* (asked: ForkSearch.Asked, welcome: PeerProtocol.Welcome) {
    const { incarnation, vector } = welcome
    const { log, source } = asked
    const { peer } = source
    const last = Math.min(vector.find((said) => said.log === log)?.seq ?? 0, logs.announced(log))
    if (last === 0) return undefined
    const key = `${peer} ${log}`
    const known = waitedFor.get(key)
    if (known !== undefined && !isOnlyHere(log, known.seq)) {
      const theirs = ForkSearch.sideOf(yield* pull(asked, known.seq, 1))
      if (theirs !== "erased" && theirs?.chain === known.chain) return undefined
    }
    waitedFor.delete(key)
    const fork = yield* forkOf(asked, last)
    if (fork === "unknown") return undefined
    if (fork === undefined) {
      // What was compared was said before one of the two gave its side up.
      const side = ForkSearch.sideOf(yield* here(log, last))
      const monotonicMillis = Monotonic.millis(clock)
      const watermark = side && side !== "erased" && { log, seq: last, chain: side.chain }
      if (watermark) peers.report({ _tag: "Ack", peer, incarnation, watermark, how: "vector", monotonicMillis })
      return undefined
    }
    if (isOnlyHere(log, fork.seq) || !Fork.stays(fork.mine, fork.theirs)) return yield* giveUp(asked, fork, welcome)
    waitedFor.set(key, { seq: fork.seq, chain: fork.theirs.chain })
    return undefined
  })

  const once = <A, E>(log: LogId, work: Effect.Effect<A, E>): Effect.Effect<A | undefined, E> =>
    Effect.suspend(() => (log === logs.own || !mayWrite() ? Effect.undefined : oneAtATime(log, work)))

  /** Commits again what follows a lost range, once. It stays where it is, too: this replica can read it there. */
  const afterLost = Effect.fnUntraced(function* (range: DamagedRange.DamagedRange) {
    const { log } = range
    const left = GivenUp.leftAfter(range, logs.head(log).seq, membership.kept.all(), logs.damaged())
    for (const { from, to } of left) {
      const fault = yield* keep({ log, after: from - 1, upTo: to, because: "lost", peer: null })
      if (fault !== undefined) return fault
    }
    return undefined
  })

  /** Settles the forks of all logs of which the peer is known to hold other entries. An own fault ends it, and is returned. */
  return Effect.fnUntraced(function* (source: Source, welcome: PeerProtocol.Welcome) {
    // What only this replica holds is decided about first.
    const lost = membership.isToOffer() ? [] : membership.lost()
    for (const range of lost) yield* once(range.log, afterLost(range))
    for (const log of Array.from(peers.get(source.peer).drifted)) {
      const fault = yield* once(log, settle({ source, session: welcome.session, log }, welcome))
      if (fault !== undefined) return fault
    }
    fetched.set(source.peer, welcome.session)
    return undefined
  })
})
