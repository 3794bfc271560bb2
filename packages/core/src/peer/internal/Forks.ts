/**
 * Commits again what a log does not lead to the others any more: the side of a fork that does not stay, and what follows a
 * range that no member has. The entries go to this replica's own log first, durably; then the side is given up for what
 * the peer holds in its place. A crash in between has it done again, which makes one more copy of the same versions and
 * does no other harm.
 */
import { Clock, Effect, Result } from "effect"
import type { LogId } from "../../identity/LogId.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as DamagedRange from "../../log/DamagedRange.ts"
import * as GivenUp from "../GivenUp.ts"
import type { Membership } from "../Membership.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import type { Peers } from "../Peers.ts"
import type { Keep } from "./Again.ts"
import type { Source } from "./CatchUp.ts"
import * as Fork from "./Fork.ts"
import * as ForkSearch from "./ForkSearch.ts"
import * as OneAtATime from "./OneAtATime.ts"
import type * as OwnStore from "./OwnStore.ts"

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

  /** Commits this replica's side again, and goes on with that of the peer. */
  const giveUp = Effect.fnUntraced(function* (asked: ForkSearch.Asked, { seq }: ForkSearch.Found) {
    const { log, source } = asked
    const batch = yield* pull(asked, seq, source.batchBytes())
    if (batch === undefined) return undefined
    for (let after = seq - 1; ;) {
      const upTo = logs.head(log).seq
      if (isBeingMended({ log, from: after + 1, to: upTo })) return undefined
      const fault = yield* keep({ log, after, upTo, because: "fork", peer: source.peer })
      if (fault !== undefined) return fault
      const replaced = yield* store.once(`give up a side of ${log}`, logs.replace(batch, upTo))
      if (Result.isFailure(replaced)) return replaced.failure._tag === "OwnFault" ? replaced.failure : undefined
      if (replaced.success) return undefined
      // More of the side came meanwhile.
      after = upTo
    }
  })

  const settle = Effect.fnUntraced(function* (asked: ForkSearch.Asked, { incarnation, vector }: PeerProtocol.Welcome) {
    const { log, source } = asked
    const { peer } = source
    const last = Math.min(vector.find((said) => said.log === log)?.seq ?? 0, logs.announced(log))
    if (last === 0) return undefined
    const key = `${peer} ${log}`
    const known = waitedFor.get(key)
    if (known !== undefined) {
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
    if (!Fork.stays(fork.mine, fork.theirs)) return yield* giveUp(asked, fork)
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
    return undefined
  })
})
