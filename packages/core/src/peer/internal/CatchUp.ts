/**
 * Catch-up: compares what a peer holds with what this replica holds, and pulls what is missing from any peer that has
 * it. Together with the pushes of the owner, this is what makes every replica end with every log (anti-entropy).
 */
import type * as PeerMethods from "../PeerMethods.ts"
import { Clock, Effect, Option, Result } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import * as LogId from "../../identity/LogId.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import { Peers } from "../Peers.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import type * as Watermark from "../../log/Watermark.ts"

/** Catch-up of one replica, shared by its replicators. */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const clock = yield* Clock.Clock
  const sink = yield* EventSink
  /** Logs that some replicator is pulling just now; one at a time, so that two peers do not send the same range. */
  const pulling = new Set<LogId.LogId>()
  /** What peers said of logs that were shorter here then, and is compared once they have grown. */
  const ahead = new Map<string, Watermark.Watermark>()
  const reported = new Set<string>()

  /**
   * Compares a peer's version vector with the logs here: where the chains agree the watermark counts as an ack, where
   * they differ the log has drifted. A peer that is ahead cannot be compared before this replica has caught up.
   */
  const compare = Effect.fnUntraced(function* (peer: ReplicaId.ReplicaId, vector: Watermark.VersionVector) {
    const known = peers.get(peer).watermarks
    for (const said of vector) {
      const key = `${peer} ${said.log}`
      const before = ahead.get(key)
      const head = logs.head(said.log).seq
      // A peer that is always a little ahead would never be compared by its newest watermark alone.
      const watermark = said.seq > head && before !== undefined && before.seq <= head ? before : said
      if (said.seq <= head) ahead.delete(key)
      else if (before === undefined || before.seq <= head) ahead.set(key, said)
      if (watermark.seq > head || watermark.seq <= (known.get(watermark.log)?.seq ?? 0)) continue
      // What cannot be read here is this replica's fault, and says nothing about the peer.
      const read = yield* Effect.result(logs.chainAt(watermark.log, watermark.seq))
      if (Result.isFailure(read)) continue
      const chain = read.success
      const at = Monotonic.millis(clock)
      if (Option.getOrUndefined(chain) === watermark.chain) peers.report({ _tag: "Ack", peer, watermark, at })
      else yield* drifted(peer, watermark.log, at)
    }
  })

  const drifted = (peer: ReplicaId.ReplicaId, log: LogId.LogId, at: number) =>
    Effect.suspend(() => {
      if (peers.get(peer).drifted.has(log)) return Effect.void
      peers.report({ _tag: "Drift", peer, log, at })
      // The same drift is found again on every connection.
      if (reported.has(`${peer} ${log}`)) return Effect.void
      reported.add(`${peer} ${log}`)
      return Effect.logError(
        `drift: ${peer} holds other entries of the log ${log} than this replica; it does not count for that log until ` +
          `one of the two copies is wiped`
      )
    })

  /** Pulls one log from a peer up to `target`, page after page. */
  const pull = Effect.fnUntraced(function* (
    peer: ReplicaId.ReplicaId,
    client: PeerMethods.PeerClient,
    session: string,
    target: Watermark.Watermark,
    maxBytes: () => number
  ) {
    const { log } = target
    while (logs.head(log).seq < target.seq) {
      const after = logs.head(log).seq
      const answer = yield* Effect.result(client.pull({ session, log, after, maxBytes: maxBytes() }))
      if (Result.isFailure(answer)) {
        if (answer.failure._tag !== "StoreError") return yield* answer.failure
        return yield* Effect.logError(`cannot pull ${log} from ${peer}: ${answer.failure.message}`)
      }
      const { batch } = answer.success
      if (batch === null) return
      const valid = EntryBatch.validate(batch)
      if (Result.isFailure(valid) || batch.log !== log || batch.from > after + 1 || EntryBatch.last(batch) <= after) {
        const detail = Result.isFailure(valid)
          ? valid.failure.message
          : `asked for entries of ${log} after ${after}, got ${batch.log} from ${batch.from}`
        // The peer's copy of this log may be damaged; all else that it does may be in order.
        return yield* Effect.logError(`cannot pull ${log} from ${peer}: ${detail}`)
      }
      const startedAt = Monotonic.millis(clock)
      const appended = yield* Effect.result(logs.append(batch))
      if (Result.isSuccess(appended) && sink.active()) {
        const durationMillis = Monotonic.millis(clock) - startedAt
        const { bytes, count } = batch
        sink.tell({ _tag: "CaughtUp", peer, log, entries: count, bytes: bytes.length, durationMillis })
      }
      if (Result.isFailure(appended)) {
        if (appended.failure._tag === "StoreError")
          return yield* Effect.logError(`cannot store ${log}: ${appended.failure.message}`)
        if (appended.failure._tag === "AppendDrift") yield* drifted(peer, log, Monotonic.millis(clock))
        return
      }
    }
  })

  const pullOnce = (
    peer: ReplicaId.ReplicaId,
    client: PeerMethods.PeerClient,
    session: string,
    target: Watermark.Watermark,
    maxBytes: () => number
  ) =>
    Effect.suspend(() => {
      if (pulling.has(target.log)) return Effect.void
      pulling.add(target.log)
      return Effect.ensuring(
        pull(peer, client, session, target, maxBytes),
        Effect.sync(() => pulling.delete(target.log))
      )
    })

  return {
    compare,
    /**
     * Fetches what a peer holds of this replica's own log beyond its end: this store was restored from an old backup.
     * Only before the first append.
     */
    fetchOwn: (client: PeerMethods.PeerClient, welcome: PeerProtocol.Welcome, maxBytes: () => number) =>
      Effect.suspend(() => {
        const target = welcome.vector.find((watermark) => watermark.log === logs.own)
        if (target === undefined || target.seq <= logs.head(logs.own).seq) return Effect.void
        return Effect.andThen(
          Effect.logWarning(
            `${welcome.replica} holds this replica's own log up to ${target.seq}, here it ends at ` +
              `${logs.head(logs.own).seq}: the store is an older copy; fetching the rest before accepting writes`
          ),
          pull(welcome.replica, client, welcome.session, target, maxBytes)
        )
      }),
    /**
     * Fetches every log of which the peer holds more. The peer pushes its own log itself, so that one is pulled only
     * when it made no progress here since the heartbeat `before`.
     */
    fetchMissing: Effect.fnUntraced(function* (
      peer: ReplicaId.ReplicaId,
      client: PeerMethods.PeerClient,
      welcome: PeerProtocol.Welcome,
      before: PeerProtocol.Welcome | undefined,
      maxBytes: () => number
    ) {
      const pushed = LogId.make(welcome.replica, welcome.incarnation)
      for (const target of welcome.vector) {
        const head = logs.head(target.log).seq
        if (target.seq <= head || peers.get(peer).drifted.has(target.log)) continue
        if (target.log === logs.own) {
          // Entries were appended here since: the two ends of the log differ.
          yield* drifted(peer, target.log, Monotonic.millis(clock))
          continue
        }
        const stalled = (before?.vector.find((watermark) => watermark.log === target.log)?.seq ?? 0) > head
        if (target.log === pushed && !stalled) continue
        yield* pullOnce(peer, client, welcome.session, target, maxBytes)
      }
    })
  }
})
