/**
 * What a peer says that it holds, beside the logs here: where the chains agree it counts as an ack, and where they differ
 * the log has drifted. What is ahead of this replica is compared once it has caught up.
 */
import { type Clock, Effect, Option, Result } from "effect"
import type * as LogId from "../../identity/LogId.ts"
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as Watermark from "../../log/Watermark.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import type { Peers } from "../Peers.ts"
import type * as OwnStore from "./OwnStore.ts"

/**
 * Which of a peer's words about a log can be compared with the log here, which ends at `head`: what it says now, or what
 * it said `before` and was ahead of this replica then. A peer that is always a little ahead would never be compared by
 * its newest word alone. Nothing when neither says more than the `known` watermark.
 */
export const comparable = (
  said: Watermark.Watermark,
  before: Watermark.Watermark | undefined,
  head: number,
  known: number
): Watermark.Watermark | undefined => {
  const watermark = said.seq <= head ? said : before
  return watermark !== undefined && watermark.seq <= head && watermark.seq > known ? watermark : undefined
}

/** What is kept of a peer's words about a log for when this replica has caught up: the oldest that is still ahead. */
export const stillAhead = (
  said: Watermark.Watermark,
  before: Watermark.Watermark | undefined,
  head: number
): Watermark.Watermark | undefined => {
  if (said.seq <= head) return undefined
  return before !== undefined && before.seq > head ? before : said
}

/** The comparisons of one replica, shared by its replicators. `differs` hears of every copy that was found to differ. */
export const make = (
  clock: Clock.Clock,
  logs: ReplicaLogs["Service"],
  peers: Peers["Service"],
  store: OwnStore.OwnStore,
  differs: (peer: ReplicaId.ReplicaId, log: LogId.LogId) => void
) => {
  /** What peers said of logs that were shorter here then, and is compared once they have grown. */
  const ahead = new Map<ReplicaId.ReplicaId, Map<LogId.LogId, Watermark.Watermark>>()
  const reported = new Set<string>()

  /** The peer holds other entries of the log. */
  const drifted = (peer: ReplicaId.ReplicaId, log: LogId.LogId) =>
    Effect.suspend(() => {
      differs(peer, log)
      if (peers.get(peer).drifted.has(log)) return Effect.void
      peers.report({ _tag: "Drift", peer, log, monotonicMillis: Monotonic.millis(clock) })
      // The same drift is found again on every connection.
      if (reported.has(`${peer} ${log}`)) return Effect.void
      reported.add(`${peer} ${log}`)
      return Effect.logError(
        `drift: ${peer} holds other entries of the log ${log} than this replica; it does not count for that log until ` +
          `one of the two has committed its entries again under its own log, and goes on with those of the other`
      )
    })

  /**
   * Whether the chain of a log here is that of the watermark; nothing when that cannot be read here, or is among entries
   * that were erased when every member held them.
   */
  const agrees = ({ chain, log, seq }: Watermark.Watermark) =>
    Effect.map(
      store.once(`read ${log}`, logs.chainAt(log, seq)),
      Result.map((here) => (Option.isSome(here) ? here.value === chain : undefined))
    )

  /**
   * Compares a peer's version vector with the logs here: where the chains agree the watermark counts as an ack, where
   * they differ the log has drifted. A peer that is ahead cannot be compared before this replica has caught up.
   */
  const compare = Effect.fnUntraced(function* (
    peer: ReplicaId.ReplicaId,
    { incarnation, vector }: Pick<PeerProtocol.Welcome, "incarnation" | "vector">
  ) {
    const waiting = ahead.get(peer) ?? new Map<LogId.LogId, Watermark.Watermark>()
    ahead.set(peer, waiting)
    for (const said of vector) {
      const before = waiting.get(said.log)
      const head = logs.end(said.log).seq
      const watermark = comparable(said, before, head, peers.get(peer).watermarks.get(said.log)?.seq ?? 0)
      const later = stillAhead(said, before, head)
      if (later === undefined) waiting.delete(said.log)
      else waiting.set(said.log, later)
      if (watermark === undefined) continue
      const agreed = yield* agrees(watermark)
      if (Result.isFailure(agreed) || agreed.success === undefined) continue
      if (!agreed.success) yield* drifted(peer, watermark.log)
      else
        peers.report({
          _tag: "Ack",
          peer,
          incarnation,
          watermark,
          how: "vector",
          monotonicMillis: Monotonic.millis(clock)
        })
    }
  })

  return {
    compare,
    drifted,
    /** Forgets what a peer said on another connection: it may have been wiped, restored or mended since. */
    forget: (peer: ReplicaId.ReplicaId): void => void ahead.delete(peer)
  }
}
