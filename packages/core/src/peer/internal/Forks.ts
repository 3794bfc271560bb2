/**
 * Commits again what a log does not lead to the others any more: the side of a fork that does not stay, and what follows a
 * range that no member has. The entries go to this replica's own log first, durably; then the side is given up for what
 * the peer holds in its place. A crash in between has it done again, which makes one more copy of the same versions and
 * does no other harm.
 */
import { Clock, Effect, Option, Result } from "effect"
import type { LogId } from "../../identity/LogId.ts"
import * as Entry from "../../log/Entry.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import * as Erased from "../../log/Erased.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as DamagedRange from "../../log/DamagedRange.ts"
import * as GivenUp from "../GivenUp.ts"
import type { Membership } from "../Membership.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import type { Peers } from "../Peers.ts"
import type { Keep } from "./Again.ts"
import { faultOf, type Source } from "./CatchUp.ts"
import * as Fork from "./Fork.ts"
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
  /** Logs that some replicator is at just now. */
  const underWay = new Set<LogId>()
  /** The first entries of sides that do not stay, by the peer that has them and has to give them up. */
  const waitedFor = new Map<string, { readonly seq: number; readonly chain: Fork.Side["chain"] }>()

  /** Some entries of the peer's copy from a place on; `undefined` where it gives none today. */
  const pull = Effect.fnUntraced(function* (asked: Asked, seq: number, maxBytes: number) {
    const { log, session, source } = asked
    const answer = yield* Effect.result(source.client.pull({ session, log, after: seq - 1, maxBytes }))
    if (Result.isFailure(answer)) return answer.failure._tag === "StoreError" ? undefined : yield* answer.failure
    const { batch } = answer.success
    return batch === null || faultOf(batch, log, seq - 1) !== undefined ? undefined : EntryBatch.after(batch, seq - 1)
  })

  const here = (log: LogId, seq: number) =>
    Effect.map(Effect.option(logs.read(log, seq - 1, 1)), (read) => Option.getOrUndefined(Option.flatten(read)))

  /**
   * Both copies at a place, or at the first one after it at which both know the chain, which nobody does within what is
   * erased. Where there is none up to `last`, from where on there is none; `undefined` where one of the two gives nothing.
   */
  const compared = Effect.fnUntraced(function* (asked: Asked, seq: number, last: number) {
    let from = seq
    for (let at = seq; at <= last;) {
      const [mine, theirs] = [yield* here(asked.log, at), yield* pull(asked, at, 1)]
      if (mine === undefined || theirs === undefined) return undefined
      const parts = [EntryBatch.take(mine, 1), EntryBatch.take(theirs, 1)] as const
      const ends = parts.map(EntryBatch.last)
      if (at === seq) from = Math.min(seq, ...parts.map((part) => part.from))
      if (ends[0] === ends[1] && ends[0]! <= last) return { seq: ends[0]!, parts }
      at = Math.max(...ends)
    }
    return { from }
  })

  /**
   * The first entry that differs, in both copies, of which the first `last` are compared. Where one of the two has erased
   * it, nobody can say which it is.
   */
  const forkOf = Effect.fnUntraced(function* (asked: Asked, last: number) {
    let agreed = 0
    /** The last place that may yet tell more: what is after it differs, or cannot be compared. */
    let open = last
    let differs:
      | { readonly seq: number; readonly parts: readonly [EntryBatch.EntryBatch, EntryBatch.EntryBatch] }
      | undefined
    for (let seq = last; open > agreed; seq = Math.ceil((agreed + open) / 2)) {
      const found = yield* compared(asked, seq, open)
      if (found === undefined) return "unknown" as const
      if (found.parts === undefined) {
        open = found.from - 1
        continue
      }
      const [mine, theirs] = found.parts
      if (mine.chain === theirs.chain) agreed = found.seq
      else {
        differs = found
        open = seq - 1
      }
    }
    if (differs === undefined) return agreed === last ? undefined : ("unknown" as const)
    const [mine, theirs] = differs.parts.map(sideOf)
    if (differs.seq !== agreed + 1 || mine === undefined || theirs === undefined) return "unknown" as const
    if (mine === "erased" || theirs === "erased") return "unknown" as const
    return { seq: differs.seq, mine, theirs }
  })

  /** Whether some of it is damaged and may yet be mended: what cannot be read cannot be committed again. */
  const isBeingMended = (range: DamagedRange.DamagedRange): boolean => {
    const lost = membership.lost()
    return logs.damaged().some((each) => {
      const isLost = lost.some((gap) => DamagedRange.contains(gap, each))
      return DamagedRange.overlaps(each, range) && !isLost
    })
  }

  /** Commits this replica's side again, and goes on with that of the peer. */
  const giveUp = Effect.fnUntraced(function* (asked: Asked, { seq }: Found) {
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

  const settle = Effect.fnUntraced(function* (asked: Asked, { incarnation, vector }: PeerProtocol.Welcome) {
    const { log, source } = asked
    const { peer } = source
    const last = Math.min(vector.find((said) => said.log === log)?.seq ?? 0, logs.announced(log))
    if (last === 0) return undefined
    const key = `${peer} ${log}`
    const known = waitedFor.get(key)
    if (known !== undefined) {
      const theirs = sideOf(yield* pull(asked, known.seq, 1))
      if (theirs !== "erased" && theirs?.chain === known.chain) return undefined
    }
    waitedFor.delete(key)
    const fork = yield* forkOf(asked, last)
    if (fork === "unknown") return undefined
    if (fork === undefined) {
      // What was compared was said before one of the two gave its side up.
      const side = sideOf(yield* here(log, last))
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
    Effect.suspend(() => {
      if (underWay.has(log) || log === logs.own || !mayWrite()) return Effect.undefined
      underWay.add(log)
      return Effect.ensuring(
        work,
        Effect.sync(() => underWay.delete(log))
      )
    })

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

// ---------------------------------------------------------------------------------------------------------------------

/** A log of a peer, and how the peer is asked for it. */
interface Asked {
  readonly source: Source
  readonly session: string
  readonly log: LogId
}

/** The first entry at which two copies of a log differ. */
interface Found {
  readonly seq: number
  readonly mine: Fork.Side
  readonly theirs: Fork.Side
}

const sideOf = (batch: EntryBatch.EntryBatch | undefined): Fork.Side | "erased" | undefined =>
  batch && Erased.is(batch.bytes, 0)
    ? "erased"
    : batch && { ...Entry.stampAt(batch.bytes, 0), chain: EntryBatch.take(batch, 1).chain }
