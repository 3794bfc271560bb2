/**
 * Catch-up: compares what a peer holds with what this replica holds, and pulls what is missing from any peer that has
 * it. Together with the pushes of the owner, this is what makes every replica end with every log (anti-entropy).
 */
import { Clock, Effect, Result } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import * as LogId from "../../identity/LogId.ts"
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as ReplicaStore from "../../log/ReplicaStore.ts"
import type * as Watermark from "../../log/Watermark.ts"
import type * as PeerMethods from "../PeerMethods.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import type { Membership } from "../Membership.ts"
import type { Peers } from "../Peers.ts"
import * as Comparing from "./Comparing.ts"
import * as OneAtATime from "./OneAtATime.ts"
import type * as OwnStore from "./OwnStore.ts"

/** Whether a peer's push of its own log has made no progress here since the heartbeat before: it held more then already. */
export const isStalled = (before: PeerProtocol.Welcome | undefined, log: LogId.LogId, head: number): boolean =>
  (before?.vector.find((watermark) => watermark.log === log)?.seq ?? 0) > head

/** What is wrong with an answer to a pull of the entries of a log after a place; `undefined` when nothing is. */
export const faultOf = (batch: EntryBatch.EntryBatch, log: LogId.LogId, after: number): string | undefined => {
  const valid = EntryBatch.validateForeign(batch)
  if (Result.isFailure(valid)) return valid.failure.message
  return batch.log === log && batch.from <= after + 1 && EntryBatch.last(batch) > after
    ? undefined
    : `asked for entries of ${log} after ${after}, got ${batch.log} from ${batch.from}`
}

/** A peer, and how it is asked. */
export interface Source {
  readonly peer: ReplicaId.ReplicaId
  readonly client: PeerMethods.PeerClient
  /** The most bytes of entries in one pull, as of now. */
  readonly batchBytes: () => number
}

/** Catch-up of one replica. */
export type CatchUp = Effect.Success<ReturnType<typeof make>>

/** Catch-up of one replica, shared by its replicators. */
export const make = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  peers: Peers["Service"],
  store: OwnStore.OwnStore,
  /** Hears of every copy that was compared and differs. */
  differs: (peer: ReplicaId.ReplicaId, log: LogId.LogId) => void = () => undefined,
  /** Stores what comes from a life of a peer. */
  receive: Membership["Service"]["receive"] = (_peer, _incarnation, stored) => stored,
  /** What to do before entries are taken from a peer that may hold what others have erased. */
  borrows: Effect.Effect<void, ReplicaStore.StoreError> = Effect.void
) {
  const sink = yield* EventSink
  const clock = yield* Clock.Clock
  /** A log is pulled by one replicator at a time, so that two peers do not send the same range. */
  const once = OneAtATime.make<LogId.LogId>()
  const { compare, drifted, forget } = Comparing.make(clock, logs, peers, store, differs)

  /** Appends a page that was pulled. Returns whether there may be more. */
  const take = Effect.fnUntraced(function* (from: Pulled, batch: EntryBatch.EntryBatch, began: number) {
    const { log } = batch
    const { incarnation, peer } = from
    const before = logs.head(log).seq
    const appended = yield* store.once(`store ${log}`, receive(peer, incarnation, logs.append(batch)))
    if (Result.isFailure(appended)) {
      if (appended.failure._tag === "SessionUnknown") return yield* appended.failure
      if (appended.failure._tag === "AppendDrift") yield* drifted(peer, log)
      return appended.failure._tag === "OwnFault" ? appended.failure : false
    }
    if (sink.active()) {
      const entries = logs.head(log).seq - before
      const durationMillis = Monotonic.millis(clock) - began
      sink.tell({ _tag: "CaughtUp", peer, log, entries, bytes: batch.bytes.length, durationMillis })
    }
    return true
  })

  /** Pulls one log from a peer up to `target`, page after page. An own fault ends it, and is returned. */
  const pull = Effect.fnUntraced(function* (
    source: Source,
    welcome: PeerProtocol.Welcome,
    target: Watermark.Watermark
  ) {
    const { batchBytes, client, peer } = source
    const { incarnation, session } = welcome
    const { log } = target
    while (logs.head(log).seq < target.seq) {
      const began = Monotonic.millis(clock)
      const after = logs.head(log).seq
      const answer = yield* Effect.result(client.pull({ session, log, after, maxBytes: batchBytes() }))
      if (Result.isFailure(answer)) {
        if (answer.failure._tag !== "StoreError") return yield* answer.failure
        return yield* Effect.logError(`cannot pull ${log} from ${peer}: ${answer.failure.message}`)
      }
      const { batch } = answer.success
      if (batch === null) return
      const fault = faultOf(batch, log, after)
      // The peer's copy of this log may be damaged; all else that it does may be in order.
      if (fault !== undefined) return yield* Effect.logError(`cannot pull ${log} from ${peer}: ${fault}`)
      const taken = yield* take({ peer, incarnation }, batch, began)
      if (taken !== true) return taken === false ? undefined : taken
    }
  })

  return {
    compare,
    forget,
    /**
     * Fetches every log of which the peer holds more. The peer pushes its own log itself, so that one is pulled only
     * when it made no progress here since the heartbeat `before`, or when somebody waits for it.
     */
    fetchMissing: Effect.fnUntraced(function* (
      source: Source,
      welcome: PeerProtocol.Welcome,
      before: PeerProtocol.Welcome | undefined,
      isWanted: boolean
    ) {
      const { peer } = source
      const pushed = LogId.make(welcome.replica, welcome.incarnation)
      for (const target of welcome.vector) {
        const { log } = target
        const head = logs.end(log).seq
        // Nothing can be appended after a damaged end, and where the log goes on from it nobody knows.
        if (target.seq <= head || peers.get(peer).drifted.has(log) || logs.damageAt(log, head) !== undefined) continue
        // Entries were appended here since: the two ends of the log differ.
        if (log === logs.own) yield* drifted(peer, log)
        else if (log !== pushed || isWanted || isStalled(before, log, head)) {
          if (welcome.stale === true) yield* store.patiently("note whom it takes entries from", borrows)
          yield* once(log, pull(source, welcome, target))
        }
      }
    })
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** From which life of a peer something was pulled. */
interface Pulled {
  readonly peer: ReplicaId.ReplicaId
  readonly incarnation: LogId.Incarnation
}
