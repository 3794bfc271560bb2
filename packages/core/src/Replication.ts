/**
 * Keeps every peer supplied with this replica's own log, and fetches from any peer what this replica misses.
 *
 * One replicator per peer: connect, make the handshake, push from the peer's watermark on, and on every heartbeat
 * compare version vectors and pull. There is no list of what to send again: what a peer misses is the range after its
 * watermark, read from the log.
 */
import { Clock, Context, Deferred, Effect, Exit, Latch, Layer, Option, Schedule, Scope, Semaphore } from "effect"
import * as CatchUp from "./CatchUp.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import { Peers } from "./Peers.ts"
import { PeerTransport } from "./PeerTransport.ts"
import type * as QuorumError from "./QuorumError.ts"
import { ReplicaLogs } from "./ReplicaLogs.ts"
import type * as ReplicaId from "./ReplicaId.ts"
import { ReplicaSet } from "./ReplicaSet.ts"
import type * as ReplicaStore from "./ReplicaStore.ts"

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

  const untried = new Set(ids)
  const allTried = Latch.makeUnsafe(untried.size === 0)
  const tried = (peer: ReplicaId.ReplicaId) => {
    untried.delete(peer)
    if (untried.size === 0) allTried.openUnsafe()
  }

  const bounded = <A, E, R>(
    peer: ReplicaId.ReplicaId,
    request: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | PeerProtocol.PeerUnreachable, R> =>
    Effect.timeoutOrElse(request, {
      duration: requestTimeout,
      orElse: () =>
        Effect.fail(
          new PeerProtocol.PeerUnreachable({
            peer,
            reason: "timed_out",
            detail: `no answer within ${requestTimeout} ms`
          })
        )
    })

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
    peers.reportSkew(peer, (welcome.receivedAt - sentAt + (welcome.sentAt - now())) / 2)
    return welcome
  })

  const bound = (peer: ReplicaId.ReplicaId, client: PeerProtocol.PeerClient): PeerProtocol.PeerClient => ({
    hello: (request) => bounded(peer, client.hello(request)),
    push: (request) => bounded(peer, client.push(request)),
    pull: (request) => bounded(peer, client.pull(request))
  })

  const connect = Effect.fnUntraced(function* (peer: ReplicaId.ReplicaId) {
    const client = bound(peer, yield* bounded(peer, transport.connect(peer)))
    const welcome = yield* handshake(peer, client)
    peers.reset(peer)
    yield* catchUp.compare(peer, welcome.vector)
    if (untried.has(peer)) yield* catchUp.fetchOwn(client, welcome)
    return { client, welcome }
  })

  /** One try to connect. What a failed try had opened is closed before the next. */
  const tryConnect = Effect.fnUntraced(function* (peer: ReplicaId.ReplicaId) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    return yield* connect(peer).pipe(
      Scope.provide(scope),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  })

  /** Pushes the own log from the peer's watermark on. Ends only by failing. */
  const pushes = Effect.fnUntraced(function* (
    peer: ReplicaId.ReplicaId,
    client: PeerProtocol.PeerClient,
    session: string,
    vector: PeerProtocol.Welcome["vector"]
  ) {
    const scope = yield* Effect.scope
    const failure = yield* Deferred.make<never, LinkFailure>()
    const slots = yield* Semaphore.make(transport.maxInFlight)
    const more = Latch.makeUnsafe(true)
    const stop = logs.onAppend((batch) => void (batch.log === logs.own && more.openUnsafe()))
    yield* Scope.addFinalizer(scope, Effect.sync(stop))
    let rejected = false
    let sent = vector.find((watermark) => watermark.log === logs.own)?.seq ?? 0

    const push = (batch: EntryBatch.EntryBatch) =>
      Effect.matchEffect(client.push({ session, batch }), {
        onSuccess: (ack) => {
          const place = ack.replica === peer && ack.log === batch.log && ack.seq === EntryBatch.last(batch)
          if (!place) return Deferred.fail(failure, invalidAck(peer))
          if (ack.chain !== batch.chain) peers.report({ _tag: "Drift", peer, log: batch.log, at: now() })
          else peers.report({ _tag: "Ack", peer, watermark: EntryBatch.watermark(batch), at: now() })
          return Effect.void
        },
        onFailure: (error) => {
          if (error._tag === "PushRejected") {
            // The peer will not take this entry, so nothing after it can follow; the rest of the link still works.
            rejected = true
            const { detail } = error
            peers.report({ _tag: "Rejected", peer, log: batch.log, seq: batch.from, detail, at: now() })
            return Effect.logError(`${peer} rejects entry ${batch.from} of ${batch.log}: ${detail}`)
          }
          if (error._tag === "AppendDrift") peers.report({ _tag: "Drift", peer, log: batch.log, at: now() })
          return Deferred.fail(failure, error)
        }
      }).pipe(Effect.ensuring(slots.release(1)))

    const send = Effect.gen(function* () {
      while (true) {
        more.closeUnsafe()
        if (rejected || logs.head(logs.own).seq <= sent || peers.get(peer).drifted.has(logs.own)) {
          yield* more.await
          continue
        }
        yield* slots.take(1)
        const batch = yield* logs.read(logs.own, sent, PeerProtocol.maxBatchBytes)
        if (Option.isNone(batch)) return yield* Effect.die(`entry ${sent + 1} of the own log is missing`)
        sent = EntryBatch.last(batch.value)
        yield* Effect.forkIn(push(batch.value), scope, { startImmediately: true })
      }
    })
    return yield* Effect.raceFirst(send, Deferred.await(failure))
  })

  /** Compares version vectors and pulls, now and on every heartbeat. Ends only by failing. */
  const heartbeats = Effect.fnUntraced(function* (
    peer: ReplicaId.ReplicaId,
    client: PeerProtocol.PeerClient,
    first: PeerProtocol.Welcome
  ) {
    let before: PeerProtocol.Welcome | undefined
    let welcome = first
    while (true) {
      yield* catchUp.fetchMissing(peer, client, welcome, before)
      yield* Effect.sleep(heartbeatInterval)
      before = welcome
      welcome = yield* handshake(peer, client)
      if (welcome.session !== before.session) return yield* new PeerProtocol.SessionUnknown()
      yield* catchUp.compare(peer, welcome.vector)
    }
  })

  const failed = (peer: ReplicaId.ReplicaId, error: LinkFailure) =>
    Effect.suspend(() => {
      tried(peer)
      const { link } = peers.get(peer)
      const verdict = verdictOf(error)
      const since = link._tag === "Down" ? link.since : now()
      peers.report({ _tag: "Link", peer, link: { _tag: "Down", since, verdict, detail: error.message }, at: now() })
      const known = link._tag === "Down" && link.detail === error.message
      return known ? Effect.void : Effect.logWarning(`lost ${peer}: ${error.message}`)
    })

  const replicator = (peer: ReplicaId.ReplicaId) =>
    Effect.gen(function* () {
      const { client, welcome } = yield* Effect.retry(
        Effect.tapError(tryConnect(peer), (error) => failed(peer, error)),
        reconnect
      )
      tried(peer)
      yield* Effect.logInfo(`connected to ${peer}`)
      peers.report({ _tag: "Link", peer, link: { _tag: "Up", since: now() }, at: now() })
      return yield* Effect.raceFirst(
        pushes(peer, client, welcome.session, welcome.vector),
        heartbeats(peer, client, welcome)
      )
    }).pipe(
      Effect.scoped,
      Effect.catch((error) => Effect.andThen(failed(peer, error), Effect.sleep(pauseMillis))),
      Effect.forever
    )

  for (const peer of ids) yield* Effect.forkScoped(replicator(peer))
  return Replication.of({ recovered: allTried.await })
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

/** How long a replicator rests after a connection that had worked broke, in milliseconds. */
const pauseMillis = 50

/** Between two tries to connect: 50 ms, growing by half to 1 s, with jitter, for ever. */
const reconnect = Schedule.min([Schedule.exponential(50, 1.5), Schedule.spaced(1000)]).pipe(Schedule.jittered)

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
