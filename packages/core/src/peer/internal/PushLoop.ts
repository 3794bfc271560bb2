/**
 * Pushes the own log to one peer over one connection, from the peer's watermark on, several pushes at once.
 */
import { Clock, Deferred, Effect, Latch, Option, Scope, Semaphore } from "effect"
import * as EntryBatch from "../../log/EntryBatch.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as PeerMethods from "../PeerMethods.ts"
import { Peers } from "../Peers.ts"
import * as PeerProtocol from "../PeerProtocol.ts"
import { PeerTransport } from "../PeerTransport.ts"
import { broken, type LinkFailure, type LinkState, silent } from "./Link.ts"

/** How long a large push is paused after, as a share of the time that it took. */
const catchUpPause = 1.4

/** How long a peer that rejected an entry is left alone before it is asked again, in milliseconds. */
const rejectedPauseMillis = 60_000

/** How long to wait before the own log is read again, when that failed, in milliseconds. */
const ownFaultPauseMillis = 1000

/** Whether an ack is one: it names the peer that was asked, and the place that it was asked about. */
export const isAckOf = (ack: PeerProtocol.Ack, peer: LinkState["peer"], batch: EntryBatch.EntryBatch): boolean =>
  ack.replica === peer && ack.log === batch.log && ack.seq === EntryBatch.last(batch)

/** What a push loop does of one replica. `works` is told whenever the peer has done what it is for. */
export const make = Effect.fnUntraced(function* (works: (state: LinkState) => void) {
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const { maxInFlight } = yield* PeerTransport
  const clock = yield* Clock.Clock
  const requestTimeout = yield* PeerProtocol.RequestTimeout
  const now = () => Monotonic.millis(clock)

  /** Records an answer to a push; fails when the connection is of no use any more. */
  const acked = (state: LinkState, batch: EntryBatch.EntryBatch, ack: PeerProtocol.Ack) => {
    const { peer } = state
    if (!isAckOf(ack, peer, batch)) return Effect.fail(invalidAck(peer))
    if (ack.chain !== batch.chain) peers.report({ _tag: "Drift", peer, log: batch.log, at: now() })
    else {
      works(state)
      state.batchBytes = Math.min(PeerProtocol.maxBatchBytes, state.batchBytes * 2)
      peers.report({ _tag: "Ack", peer, watermark: EntryBatch.watermark(batch), at: now() })
    }
    return Effect.void
  }

  /** The next entries of the own log. What fails here is this replica's fault and not the peer's. */
  const nextBatch = Effect.fnUntraced(function* (after: number, maxBytes: number) {
    let isSaid = false
    while (true) {
      const read = yield* Effect.result(logs.read(logs.own, after, maxBytes))
      if (read._tag === "Success" && Option.isSome(read.success)) return read.success.value
      const why = read._tag === "Failure" ? read.failure.message : "it is missing"
      if (!isSaid) yield* Effect.logError(`entry ${after + 1} of the own log cannot be read to be pushed: ${why}`)
      isSaid = true
      yield* Effect.sleep(ownFaultPauseMillis)
    }
  })

  /** One timer for all pushes of a connection: fails when the oldest stays without an answer for too long. */
  const makeWatch = (peer: LinkState["peer"]) => {
    const underWay = new Map<EntryBatch.EntryBatch, number>()
    const some = Latch.makeUnsafe(false)
    return {
      begin: (batch: EntryBatch.EntryBatch): void => {
        underWay.set(batch, now())
        some.openUnsafe()
      },
      end: (batch: EntryBatch.EntryBatch): void => void underWay.delete(batch),
      failsLate: Effect.gen(function* () {
        while (true) {
          const [oldest] = underWay.values()
          if (oldest === undefined) {
            some.closeUnsafe()
            yield* some.await
            continue
          }
          const left = oldest + requestTimeout - now()
          if (left <= 0) return yield* silent(peer, requestTimeout)
          yield* Effect.sleep(left)
        }
      })
    }
  }

  /** Pushes over one connection. Ends only by failing. */
  return Effect.fnUntraced(function* (
    state: LinkState,
    client: PeerMethods.PeerClient,
    { session, vector }: PeerProtocol.Welcome
  ) {
    const { peer } = state
    const scope = yield* Effect.scope
    const failure = yield* Deferred.make<never, LinkFailure>()
    // A link that timed out carries one small batch at a time until it has shown that it can do more.
    const slots = yield* Semaphore.make(state.batchBytes < PeerProtocol.maxBatchBytes ? 1 : maxInFlight)
    const more = Latch.makeUnsafe(true)
    const stop = logs.onAppend((batch) => void (batch.log === logs.own && more.openUnsafe()))
    yield* Scope.addFinalizer(scope, Effect.sync(stop))
    const watch = makeWatch(peer)
    let rejection: PeerProtocol.PushRejected | undefined
    let sent = vector.find((watermark) => watermark.log === logs.own)?.seq ?? 0

    const refused = (batch: EntryBatch.EntryBatch, error: PeerProtocol.PushError | PeerProtocol.PeerUnreachable) => {
      if (error._tag === "PushRejected") {
        // The peer will not take this entry, so nothing after it can follow; the rest of the link still works.
        rejection = error
        more.openUnsafe()
        const { detail } = error
        peers.report({ _tag: "Rejected", peer, log: batch.log, seq: batch.from, detail, at: now() })
        return Effect.logError(`${peer} rejects entry ${batch.from} of ${batch.log}: ${detail}`)
      }
      if (error._tag === "AppendDrift") peers.report({ _tag: "Drift", peer, log: batch.log, at: now() })
      return Effect.fail(error)
    }

    const push = (batch: EntryBatch.EntryBatch) => {
      watch.begin(batch)
      return Effect.matchEffect(client.push({ session, batch }), {
        onSuccess: (ack) => acked(state, batch, ack),
        onFailure: (error) => refused(batch, error)
      }).pipe(
        Effect.catchDefect((defect) => Effect.fail(broken(peer, defect))),
        Effect.catch((error: LinkFailure) => Deferred.fail(failure, error)),
        Effect.ensuring(
          Effect.suspend(() => {
            watch.end(batch)
            return slots.release(1)
          })
        )
      )
    }

    /**
     * A peer that is far behind gets one large batch at a time, with pauses while there are commits: they come first,
     * and share processors and disks with it. Measured, three replicas on two cores: entries reach it at 3.6 times the
     * rate of the commits before, and leave half of those, without the pauses; at 2.1 times, and two thirds, with them.
     */
    const pushAlone = Effect.fnUntraced(function* (batch: EntryBatch.EntryBatch) {
      const began = now()
      const { seq } = logs.head(logs.own)
      yield* push(batch)
      if (logs.head(logs.own).seq > seq) yield* Effect.sleep((now() - began) * catchUpPause)
    })

    const send = Effect.gen(function* () {
      while (true) {
        more.closeUnsafe()
        if (rejection !== undefined) {
          yield* Effect.sleep(rejectedPauseMillis)
          return yield* rejection
        }
        if (logs.head(logs.own).seq <= sent || peers.get(peer).drifted.has(logs.own)) {
          yield* more.await
          continue
        }
        yield* slots.take(1)
        const batch = yield* nextBatch(sent, state.batchBytes)
        sent = EntryBatch.last(batch)
        if (batch.bytes.length > state.batchBytes / 2) yield* pushAlone(batch)
        else yield* Effect.forkIn(push(batch), scope, { startImmediately: true })
      }
    })
    return yield* Effect.raceAllFirst([send, watch.failsLate, Deferred.await(failure)])
  })
})

// ---------------------------------------------------------------------------------------------------------------------

const invalidAck = (peer: LinkState["peer"]) =>
  new PeerProtocol.PeerUnreachable({
    peer,
    reason: "invalid_answer",
    detail: "the answer to a push does not name the replica and the place that were asked for"
  })
