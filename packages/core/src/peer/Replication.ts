/**
 * Keeps every peer supplied with this replica's own log, and fetches from any peer what this replica misses.
 *
 * One replicator per peer: connect, make the handshake, push from the peer's watermark on, and on every heartbeat
 * compare version vectors and pull. There is no list of what to send again: what a peer misses is the range after its
 * watermark, read from the log.
 */
import { Clock, Context, Deferred, Effect, Latch, Layer, Option, Random, Scope, Semaphore } from "effect"
import * as CatchUp from "./internal/CatchUp.ts"
import * as EntryBatch from "../log/EntryBatch.ts"
import * as Monotonic from "../log/Monotonic.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import { Peers } from "./Peers.ts"
import { PeerTransport } from "./PeerTransport.ts"
import type * as QuorumError from "../quorum/QuorumError.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import type * as ReplicaStore from "../log/ReplicaStore.ts"

/** The background work of replication. */
export class Replication extends Context.Service<
  Replication,
  {
    /**
     * Waits until every peer was tried once, and what a peer holds beyond our end of our own log was fetched. Only
     * then may a replica append: its store may have been restored from an old backup, and appending first would give
     * places away twice.
     */
    readonly recovered: Effect.Effect<void>
    /** Whether that is so already. */
    readonly isRecovered: () => boolean
  }
>()("@quorum/core/Replication") {}

/** Starts one replicator per peer; they stop with the scope. */
export const make = Effect.gen(function* () {
  const { cluster, peers: ids, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const transport = yield* PeerTransport
  const clock = yield* Clock.Clock
  const heartbeatInterval = yield* PeerProtocol.HeartbeatInterval
  const requestTimeout = yield* PeerProtocol.RequestTimeout
  const catchUp = CatchUp.make(logs, peers)
  const now = () => clock.currentTimeMillisUnsafe()
  const at = () => Monotonic.millis(clock)
  const clockSkewWarn = yield* PeerProtocol.ClockSkewWarn

  // Before the first append: every peer answered, or could not be reached for a while, and what a peer is known to hold
  // of our own log is held here.
  const startedAt = at()
  const untried = new Set(ids)
  const ownEnds = new Map<ReplicaId.ReplicaId, number>()
  const recovered = Latch.makeUnsafe(ids.length === 0)
  const tried = (peer: ReplicaId.ReplicaId) => {
    untried.delete(peer)
    if (untried.size === 0 && logs.head(logs.own).seq >= Math.max(0, ...ownEnds.values())) recovered.openUnsafe()
  }

  const silent = (peer: ReplicaId.ReplicaId) =>
    new PeerProtocol.PeerUnreachable({ peer, reason: "timed_out", detail: `no answer within ${requestTimeout} ms` })

  const bounded = <A, E, R>(
    peer: ReplicaId.ReplicaId,
    request: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | PeerProtocol.PeerUnreachable, R> =>
    Effect.timeoutOrElse(request, {
      duration: requestTimeout,
      orElse: () => Effect.fail(silent(peer))
    })

  /** The peers whose clock is known to differ by too much: said once each time it begins. */
  const skewed = new Set<ReplicaId.ReplicaId>()
  const handshake = Effect.fnUntraced(function* (peer: ReplicaId.ReplicaId, client: PeerProtocol.PeerClient) {
    const sentAt = now()
    const welcome = yield* client.hello({
      version: PeerProtocol.version,
      cluster,
      replica: self,
      incarnation: logs.identity.incarnation,
      vector: logs.vector(),
      sentAt
    })
    if (welcome.replica !== peer || welcome.cluster !== cluster) {
      return yield* new PeerProtocol.HandshakeRefused({
        reason: "wrong_replica",
        detail: `${welcome.replica} of ${welcome.cluster} answers where ${peer} of ${cluster} was expected`
      })
    }
    // Four timestamps, as in NTP (RFC 5905, section 8): half the round trip cancels out.
    const skew = (welcome.receivedAt - sentAt + (welcome.sentAt - now())) / 2
    peers.reportSkew(peer, skew)
    const differs = Math.abs(skew) > clockSkewWarn
    if (differs && !skewed.has(peer)) {
      yield* Effect.logWarning(`the clock of ${peer} differs by ${Math.round(skew)} ms; check the clocks of both`)
    }
    if (differs) skewed.add(peer)
    else skewed.delete(peer)
    return welcome
  })

  const bound = (peer: ReplicaId.ReplicaId, client: PeerProtocol.PeerClient): PeerProtocol.PeerClient => ({
    hello: (request) => bounded(peer, client.hello(request)),
    // One timer watches over all pushes of a connection; see `pushes`.
    push: client.push,
    pull: (request) => bounded(peer, client.pull(request))
  })

  const connect = Effect.fnUntraced(function* (state: State) {
    const client = bound(state.peer, yield* bounded(state.peer, transport.connect(state.peer)))
    const { peer } = state
    const welcome = yield* handshake(peer, client)
    peers.reset(peer)
    yield* catchUp.compare(peer, welcome.vector)
    if (!recovered.isOpen()) {
      const said = welcome.vector.find(({ log }) => log === logs.own)?.seq ?? 0
      ownEnds.set(peer, said)
      yield* catchUp.fetchOwn(client, welcome, () => state.batchBytes)
      if (peers.get(peer).drifted.has(logs.own)) {
        // There is nothing to fetch from a copy that differs; an operator has to look.
        ownEnds.delete(peer)
      } else if (logs.head(logs.own).seq < said) {
        return yield* new PeerProtocol.PeerUnreachable({
          peer,
          reason: "invalid_answer",
          detail: "the rest of this replica's own log cannot be fetched from it"
        })
      }
      tried(peer)
    }
    return { client, welcome }
  })

  /** Pushes the own log from the peer's watermark on. Ends only by failing. */
  const pushes = Effect.fnUntraced(function* (
    state: State,
    client: PeerProtocol.PeerClient,
    { session, vector }: PeerProtocol.Welcome
  ) {
    const { peer } = state
    const scope = yield* Effect.scope
    const failure = yield* Deferred.make<never, LinkFailure>()
    // A link that timed out carries one small batch at a time until it has shown that it can do more.
    const slots = yield* Semaphore.make(state.batchBytes < PeerProtocol.maxBatchBytes ? 1 : transport.maxInFlight)
    const more = Latch.makeUnsafe(true)
    const stop = logs.onAppend((batch) => void (batch.log === logs.own && more.openUnsafe()))
    yield* Scope.addFinalizer(scope, Effect.sync(stop))
    let rejection: PeerProtocol.PushRejected | undefined
    let sent = vector.find((watermark) => watermark.log === logs.own)?.seq ?? 0

    const acked = (batch: EntryBatch.EntryBatch, ack: PeerProtocol.Ack) => {
      if (ack.replica !== peer || ack.log !== batch.log || ack.seq !== EntryBatch.last(batch)) {
        return Deferred.fail(failure, invalidAck(peer))
      }
      if (ack.chain !== batch.chain) peers.report({ _tag: "Drift", peer, log: batch.log, at: at() })
      else {
        works(state)
        state.batchBytes = Math.min(PeerProtocol.maxBatchBytes, state.batchBytes * 2)
        peers.report({ _tag: "Ack", peer, watermark: EntryBatch.watermark(batch), at: at() })
      }
      return Effect.void
    }

    const refused = (batch: EntryBatch.EntryBatch, error: PeerProtocol.PushError | PeerProtocol.PeerUnreachable) => {
      if (error._tag === "PushRejected") {
        // The peer will not take this entry, so nothing after it can follow; the rest of the link still works.
        rejection = error
        more.openUnsafe()
        const { detail } = error
        peers.report({ _tag: "Rejected", peer, log: batch.log, seq: batch.from, detail, at: at() })
        return Effect.logError(`${peer} rejects entry ${batch.from} of ${batch.log}: ${detail}`)
      }
      if (error._tag === "AppendDrift") peers.report({ _tag: "Drift", peer, log: batch.log, at: at() })
      return Deferred.fail(failure, error)
    }

    /** When each push that is under way was made, the oldest first. */
    const underWay = new Map<EntryBatch.EntryBatch, number>()
    const pushing = Latch.makeUnsafe(false)

    const push = (batch: EntryBatch.EntryBatch) => {
      underWay.set(batch, at())
      pushing.openUnsafe()
      return Effect.matchEffect(client.push({ session, batch }), {
        onSuccess: (ack) => acked(batch, ack),
        onFailure: (error) => refused(batch, error)
      }).pipe(
        Effect.catchDefect((defect) => Deferred.fail(failure, broken(peer, defect))),
        Effect.ensuring(
          Effect.suspend(() => {
            underWay.delete(batch)
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
      const began = at()
      const { seq } = logs.head(logs.own)
      yield* push(batch)
      if (logs.head(logs.own).seq > seq) yield* Effect.sleep((at() - began) * catchUpPause)
    })

    /** Fails when a push stays without an answer for too long. */
    const watch = Effect.gen(function* () {
      while (true) {
        const [oldest] = underWay.values()
        if (oldest === undefined) {
          pushing.closeUnsafe()
          yield* pushing.await
          continue
        }
        const left = oldest + requestTimeout - at()
        if (left <= 0) return yield* silent(peer)
        yield* Effect.sleep(left)
      }
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
        const batch = yield* logs.read(logs.own, sent, state.batchBytes)
        if (Option.isNone(batch)) return yield* Effect.die(`entry ${sent + 1} of the own log is missing`)
        sent = EntryBatch.last(batch.value)
        if (batch.value.bytes.length > state.batchBytes / 2) yield* pushAlone(batch.value)
        else yield* Effect.forkIn(push(batch.value), scope, { startImmediately: true })
      }
    })
    return yield* Effect.raceAllFirst([send, watch, Deferred.await(failure)])
  })

  /** Compares version vectors and pulls, now and on every heartbeat. Ends only by failing. */
  const heartbeats = Effect.fnUntraced(function* (
    state: State,
    client: PeerProtocol.PeerClient,
    first: PeerProtocol.Welcome
  ) {
    const { peer } = state
    let before: PeerProtocol.Welcome | undefined
    let welcome = first
    while (true) {
      yield* catchUp.fetchMissing(peer, client, welcome, before, () => state.batchBytes)
      yield* Effect.sleep(heartbeatInterval)
      before = welcome
      welcome = yield* handshake(peer, client)
      if (welcome.session !== before.session) return yield* new PeerProtocol.SessionUnknown()
      yield* catchUp.compare(peer, welcome.vector)
      // It has got the entry from another peer since: the log goes on from there.
      const rejected = peers.get(peer).rejected.get(logs.own)
      if (rejected !== undefined && (peers.get(peer).watermarks.get(logs.own)?.seq ?? 0) >= rejected.seq) {
        return yield* new PeerProtocol.SessionUnknown()
      }
      if (serves(state)) works(state)
    }
  })

  /** Whether writes can count on the peer: its store did not fail, or has all of our log by now. */
  const serves = (state: State): boolean =>
    !state.failsToStore || (peers.get(state.peer).watermarks.get(logs.own)?.seq ?? 0) >= logs.head(logs.own).seq

  /** The peer does what it is for: what is done after a failure starts anew. */
  const works = (state: State): void => {
    state.failures = 0
    state.failsToStore = false
    const { peer } = state
    if (peers.get(peer).link._tag !== "Up") {
      peers.report({ _tag: "Link", peer, link: { _tag: "Up", since: now() }, at: at() })
    }
  }

  const failed = (state: State, error: LinkFailure) =>
    Effect.suspend(() => {
      const { peer } = state
      state.failures++
      if (error._tag === "StoreError") state.failsToStore = true
      if (error._tag === "PeerUnreachable" && error.reason === "timed_out") {
        state.batchBytes = Math.max(minBatchBytes, Math.floor(state.batchBytes / 4))
      }
      if (untried.has(peer) && at() - startedAt >= heartbeatInterval) tried(peer)
      const { link } = peers.get(peer)
      const verdict = verdictOf(error)
      const since = link._tag === "Down" ? link.since : now()
      const first = link._tag === "Down" ? link.at : at()
      peers.report({
        _tag: "Link",
        peer,
        link: { _tag: "Down", since, at: first, verdict, detail: error.message },
        at: at()
      })
      const known = link._tag === "Down" && link.detail === error.message
      return known ? Effect.void : Effect.logWarning(`lost ${peer}: ${error.message}`)
    })

  /** One connection, from the first try to its end. */
  const connection = (state: State) =>
    Effect.gen(function* () {
      const { client, welcome } = yield* connect(state)
      // A peer that answers and cannot store is no use to a write: it is up again when it has acked.
      if (serves(state)) works(state)
      yield* Effect.logInfo(`connected to ${state.peer}`)
      return yield* Effect.raceFirst(pushes(state, client, welcome), heartbeats(state, client, welcome))
    }).pipe(
      Effect.scoped,
      Effect.catchDefect((defect) => Effect.fail(broken(state.peer, defect)))
    )

  /** Connects again and again, after a pause that grows from 50 ms to 1 s while nothing works, with jitter. */
  const replicator = (state: State) =>
    connection(state).pipe(
      Effect.catch((error) =>
        Effect.andThen(
          failed(state, error),
          Effect.suspend(() =>
            Effect.flatMap(Random.next, (random) =>
              Effect.sleep(Math.min(1000, 50 * 1.5 ** (state.failures - 1)) * (0.8 + 0.4 * random))
            )
          )
        )
      ),
      Effect.forever
    )

  for (const peer of ids) {
    const state: State = { peer, failures: 0, failsToStore: false, batchBytes: PeerProtocol.maxBatchBytes }
    yield* Effect.forkScoped(replicator(state))
  }
  return Replication.of({ recovered: recovered.await, isRecovered: () => recovered.isOpen() })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<Replication, never, ReplicaSet | ReplicaLogs | Peers | PeerTransport> = Layer.effect(
  Replication,
  make
)

// ---------------------------------------------------------------------------------------------------------------------

type LinkFailure =
  | PeerProtocol.PeerUnreachable
  | PeerProtocol.HandshakeRefused
  | PeerProtocol.PushError
  | PeerProtocol.PullError
  | ReplicaStore.StoreError

/** What a replicator remembers from one connection to the next. */
interface State {
  readonly peer: ReplicaId.ReplicaId
  /** Failed connections in a row. */
  failures: number
  /** The last connection ended because the peer's store failed. */
  failsToStore: boolean
  /** The most bytes of entries in one push or pull: less on a link that has timed out. */
  batchBytes: number
}

/** The least that {@link State.batchBytes} shrinks to: what a link of 8 kB/s carries within a request's time. */
const minBatchBytes = 16 * 1024

/** How long a large push is paused after, as a share of the time that it took. */
const catchUpPause = 1.4

/** How long a peer that rejected an entry is left alone before it is asked again, in milliseconds. */
const rejectedPauseMillis = 60_000

/** A defect on the way to a peer ends the connection, not the replicator. */
const broken = (peer: ReplicaId.ReplicaId, defect: unknown) =>
  new PeerProtocol.PeerUnreachable({ peer, reason: "invalid_answer", detail: `the call failed: ${String(defect)}` })

const invalidAck = (peer: ReplicaId.ReplicaId) =>
  new PeerProtocol.PeerUnreachable({
    peer,
    reason: "invalid_answer",
    detail: "the answer to a push does not name the replica and the place that were asked for"
  })

const verdictOf = (error: LinkFailure): QuorumError.Verdict => {
  if (error._tag === "PeerUnreachable" && error.reason === "timed_out") return { _tag: "timed_out" }
  if (error._tag === "AppendDrift") return { _tag: "drifted" }
  if (error._tag === "PushRejected") return { _tag: "rejected", detail: error.detail }
  return { _tag: "refused", detail: error.message }
}
