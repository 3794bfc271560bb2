/**
 * How far every member durably holds each log, who holds that back, and since when. Below the frontier of a log nobody will
 * ask for an entry again: what is superseded there may be forgotten, one day.
 */
import { Clock, Context, Effect, Layer, Schema } from "effect"
import * as Life from "../identity/Life.ts"
import * as LogId from "../identity/LogId.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type * as Watermark from "../log/Watermark.ts"
import { Membership } from "./Membership.ts"

/** The frontier of a log. */
export const LogFrontier = Schema.Struct({
  log: LogId.LogId,
  /** How far every member holds it, as far as this replica knows. */
  seq: LogId.Sequence,
  /** How far any member is known to hold it. */
  head: LogId.Sequence,
  /** The members that hold no more than that, while others do. */
  heldBackBy: Schema.Array(ReplicaId.ReplicaId),
  /** Since when it has not moved, in milliseconds since the epoch; null when nobody holds it back. */
  since: Schema.NullOr(Schema.Finite)
})

/** The frontier of a log. */
export type LogFrontier = typeof LogFrontier.Type

/** What each member is known to hold. Of a member of which nothing is known nothing is held. */
export type Holdings = ReadonlyMap<ReplicaId.ReplicaId, Watermark.VersionVector>

/** The frontiers of all logs that any member holds; `before` is what they were. */
export const of = (
  holdings: Holdings,
  before: ReadonlyArray<LogFrontier>,
  wallMillis: number
): ReadonlyArray<LogFrontier> => {
  const members = Array.from(holdings.keys())
  /** How far each of them holds each log, in their order. */
  const held = new Map<LogId.LogId, Array<number>>()
  for (const [i, member] of members.entries()) {
    for (const { log, seq } of holdings.get(member)!) {
      let seqs = held.get(log)
      if (seqs === undefined) held.set(log, (seqs = members.map(() => 0)))
      seqs[i] = seq
    }
  }
  return Array.from(held, ([log, seqs]) => {
    const seq = Math.min(...seqs)
    const head = Math.max(...seqs)
    if (seq === head) return { log, seq, head, heldBackBy: [], since: null }
    const known = before.find((each) => each.log === log)
    const since = known?.seq === seq && known.since !== null ? known.since : wallMillis
    return { log, seq, head, heldBackBy: members.filter((_, i) => seqs[i] === seq), since }
  })
}

/** The frontiers of the logs. */
export class Frontier extends Context.Service<
  Frontier,
  {
    /** As of now. */
    readonly current: () => ReadonlyArray<LogFrontier>
    /** What each member is known to hold durably in its present life, this replica among them. */
    readonly holdings: () => Holdings
  }
>()("@quorum/core/Frontier") {}

/** Has to be asked now and then, so that it is known since when one does not move: `StableTime` does. */
export const layer = Layer.effect(
  Frontier,
  Effect.gen(function* () {
    const { peers, self } = yield* ReplicaSet
    const logs = yield* ReplicaLogs
    const membership = yield* Membership
    const clock = yield* Clock.Clock
    let known: ReadonlyArray<LogFrontier> = []
    const holdings = (): Holdings => {
      const held = new Map([[self, logs.vector()]])
      // What it acked in this life: after a loss it holds everything back, until it has it again.
      // Who is left out holds nothing back: it fetches all that it may lack before it votes again.
      const lives = membership.lives()
      for (const peer of peers) {
        if (!Life.isLeftOut(Life.of(lives, peer))) held.set(peer, membership.remembered(peer))
      }
      return held
    }
    const current = () => (known = of(holdings(), known, clock.currentTimeMillisUnsafe()))
    return Frontier.of({ current, holdings })
  })
)
