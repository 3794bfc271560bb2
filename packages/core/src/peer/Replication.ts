/**
 * Keeps every peer supplied with this replica's own log, and fetches from any peer what this replica misses.
 *
 * One replicator per peer: connect, make the handshake, push from the peer's watermark on, and on every heartbeat
 * compare version vectors and pull. There is no list of what to send again: what a peer misses is the range after its
 * watermark, read from the log.
 */
import { Clock, Context, Effect, Layer, Random, type Scope } from "effect"
import { EventSink } from "../events/EventSink.ts"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import * as CatchUp from "./internal/CatchUp.ts"
import * as Handshake from "./internal/Handshake.ts"
import * as Link from "./internal/Link.ts"
import * as PushLoop from "./internal/PushLoop.ts"
import * as Recovery from "./internal/Recovery.ts"
import * as PeerMethods from "./PeerMethods.ts"
import { Peers } from "./Peers.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import { PeerTransport } from "./PeerTransport.ts"

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
  const { peers: ids } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const clock = yield* Clock.Clock
  const sink = yield* EventSink
  const recovery = Recovery.make({
    peers: ids,
    ownHead: () => logs.head(logs.own).seq,
    startedAt: Monotonic.millis(clock),
    patienceMillis: yield* PeerProtocol.HeartbeatInterval,
    onDone: () => {
      if (sink.active()) sink.tell({ _tag: "Recovered" })
    }
  })
  const replicator = yield* makeReplicator(recovery)
  for (const peer of ids) yield* Effect.forkScoped(replicator(Link.make(peer)))
  return Replication.of({ recovered: recovery.await, isRecovered: recovery.isDone })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<Replication, never, ReplicaSet | ReplicaLogs | Peers | PeerTransport> = Layer.effect(
  Replication,
  make
)

// ---------------------------------------------------------------------------------------------------------------------

/** Makes what serves one peer for ever. */
const makeReplicator = Effect.fnUntraced(function* (recovery: Recovery.Recovery) {
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const clock = yield* Clock.Clock
  const monotonicMillis = () => Monotonic.millis(clock)
  const wallMillis = () => clock.currentTimeMillisUnsafe()

  /** How far a peer is known to hold the own log. */
  const heldBy = (peer: ReplicaId.ReplicaId): number => peers.get(peer).watermarks.get(logs.own)?.seq ?? 0

  /** Whether writes can count on the peer: its store did not fail, or has all of our log by now. */
  const serves = (state: Link.LinkState): boolean =>
    !state.failsToStore || heldBy(state.peer) >= logs.head(logs.own).seq

  /** The peer does what it is for: what is done after a failure starts anew. */
  const works = (state: Link.LinkState): void => {
    state.failures = 0
    state.failsToStore = false
    const { peer } = state
    if (peers.get(peer).link._tag === "Up") return
    peers.report({ _tag: "Link", peer, link: { _tag: "Up", since: wallMillis() }, at: monotonicMillis() })
  }

  const failed = (state: Link.LinkState, error: Link.LinkFailure) =>
    Effect.suspend(() => {
      const { peer } = state
      const at = monotonicMillis()
      Link.noteFailure(state, error)
      recovery.failed(peer, at)
      const before = peers.get(peer).link
      const first = before._tag === "Down" ? { since: before.since, at: before.at } : { since: wallMillis(), at }
      const link = { _tag: "Down", ...first, verdict: Link.verdictOf(error), detail: error.message } as const
      peers.report({ _tag: "Link", peer, link, at })
      const isKnown = before._tag === "Down" && before.detail === error.message
      return isKnown ? Effect.void : Effect.logWarning(`lost ${peer}: ${error.message}`)
    })

  const connection = yield* makeConnection({ recovery, heldBy, serves, works })

  /** Connects again and again, after a pause that grows while nothing works. */
  return (state: Link.LinkState) =>
    connection(state).pipe(
      Effect.catch((error) =>
        Effect.andThen(
          failed(state, error),
          Effect.flatMap(Random.next, (random) => Effect.sleep(Link.pauseMillis(state.failures, random)))
        )
      ),
      Effect.forever
    )
})

/** Makes what serves one peer over one connection, from the first try to its end. */
const makeConnection = Effect.fnUntraced(function* (options: {
  readonly recovery: Recovery.Recovery
  readonly heldBy: (peer: ReplicaId.ReplicaId) => number
  readonly serves: (state: Link.LinkState) => boolean
  readonly works: (state: Link.LinkState) => void
}) {
  const { heldBy, recovery, serves, works } = options
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const transport = yield* PeerTransport
  const heartbeatInterval = yield* PeerProtocol.HeartbeatInterval
  const requestTimeout = yield* PeerProtocol.RequestTimeout
  const handshake = yield* Handshake.make
  const pushes = yield* PushLoop.make(works)
  const catchUp = yield* CatchUp.make

  const bounded = <A, E, R>(peer: ReplicaId.ReplicaId, request: Effect.Effect<A, E, R>) =>
    Effect.timeoutOrElse(request, {
      duration: requestTimeout,
      orElse: () => Effect.fail(Link.silent(peer, requestTimeout))
    })

  const open = Effect.fnUntraced(function* ({ peer }: Link.LinkState) {
    const client = yield* bounded(peer, transport.connect(peer))
    return PeerMethods.wrap(client, (call, name) =>
      PeerMethods.methods[name].timeLimit === "call" ? bounded(peer, call) : call
    )
  })

  /** Before the first append: fetches what the peer holds of our own log beyond our end of it. */
  const recover = Effect.fnUntraced(function* (
    state: Link.LinkState,
    client: PeerMethods.PeerClient,
    welcome: PeerProtocol.Welcome
  ) {
    const { peer } = state
    const end = welcome.vector.find(({ log }) => log === logs.own)?.seq ?? 0
    recovery.learnt(peer, end)
    yield* catchUp.fetchOwn(client, welcome, () => state.batchBytes)
    // There is nothing to fetch from a copy that differs; an operator has to look.
    if (peers.get(peer).drifted.has(logs.own)) recovery.forget(peer)
    else if (logs.head(logs.own).seq < end) {
      const detail = "the rest of this replica's own log cannot be fetched from it"
      return yield* new PeerProtocol.PeerUnreachable({ peer, reason: "invalid_answer", detail })
    }
    recovery.tried(peer)
  })

  /** Compares version vectors and pulls, now and on every heartbeat. Ends only by failing. */
  const heartbeats = Effect.fnUntraced(function* (
    state: Link.LinkState,
    client: PeerMethods.PeerClient,
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
      if (rejected !== undefined && heldBy(peer) >= rejected.seq) return yield* new PeerProtocol.SessionUnknown()
      if (serves(state)) works(state)
    }
  })

  return (state: Link.LinkState): Effect.Effect<never, Link.LinkFailure> =>
    Effect.gen(function* (): Effect.fn.Return<never, Link.LinkFailure, Scope.Scope> {
      const client = yield* open(state)
      const welcome = yield* handshake(state.peer, client)
      peers.reset(state.peer)
      yield* catchUp.compare(state.peer, welcome.vector)
      if (!recovery.isDone()) yield* recover(state, client, welcome)
      // A peer that answers and cannot store is no use to a write: it is up again when it has acked.
      if (serves(state)) works(state)
      yield* Effect.logInfo(`connected to ${state.peer}`)
      return yield* Effect.raceFirst(pushes(state, client, welcome), heartbeats(state, client, welcome))
    }).pipe(
      Effect.scoped,
      Effect.catchDefect((defect) => Effect.fail(Link.broken(state.peer, defect)))
    )
})
