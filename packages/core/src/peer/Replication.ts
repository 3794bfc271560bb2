/**
 * Keeps every peer supplied with this replica's own log, and fetches from any peer what this replica misses.
 *
 * One replicator per peer: connect, make the handshake, push from the peer's watermark on, and on every heartbeat
 * compare version vectors and pull. There is no list of what to send again: what a peer misses is the range after its
 * watermark, read from the log.
 */
import { Clock, Context, Effect, Latch, Layer, Random } from "effect"
import { EventSink } from "../events/EventSink.ts"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import { Connections } from "./Connections.ts"
import * as Again from "./internal/Again.ts"
import * as Adoption from "./internal/Adoption.ts"
import * as CatchUp from "./internal/CatchUp.ts"
import * as Forks from "./internal/Forks.ts"
import * as Handshake from "./internal/Handshake.ts"
import * as LinkState from "./internal/LinkState.ts"
import * as Mending from "./internal/Mending.ts"
import * as Offering from "./internal/Offering.ts"
import * as OwnStore from "./internal/OwnStore.ts"
import * as ProbeLoop from "./internal/ProbeLoop.ts"
import * as PushLoop from "./internal/PushLoop.ts"
import * as StartCheck from "./internal/StartCheck.ts"
import { Membership } from "./Membership.ts"
import * as UnderWay from "./internal/UnderWay.ts"
import * as PeerMethods from "./PeerMethods.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import { Peers } from "./Peers.ts"
import { PeerTransport } from "./PeerTransport.ts"

/** The background work of replication. */
export class Replication extends Context.Service<
  Replication,
  {
    /**
     * Waits until this replica may append: every peer was asked once whether it knows more of this replica than it does
     * itself, since its store may be an older copy, and this replica votes. That may end again.
     */
    readonly ready: Effect.Effect<void>
    /** Whether it may append now. */
    readonly isReady: () => boolean
    /** Whether it ever could in this run. */
    readonly wasReady: () => boolean
  }
>()("@quorum/core/Replication") {}

/** Starts one replicator per peer; they stop with the scope. */
export const make = Effect.gen(function* () {
  const { peers: ids } = yield* ReplicaSet
  const sink = yield* EventSink
  const heartbeatMillis = yield* PeerProtocol.HeartbeatInterval
  const membership = yield* Membership
  const ready = Latch.makeUnsafe()
  let wasReady = false
  const mayAppend = (): boolean => check.isDone() && membership.obstacle() === undefined
  const settle = (): void => {
    if (mayAppend() === ready.isOpen()) return
    if (!mayAppend()) return void ready.closeUnsafe()
    wasReady = true
    ready.openUnsafe()
    if (sink.active()) sink.tell({ _tag: "Recovered" })
  }
  const check: StartCheck.StartCheck = StartCheck.make({
    peers: ids,
    patienceMillis: heartbeatMillis,
    startedMonotonicMillis: Monotonic.millis(yield* Clock.Clock),
    onDone: settle
  })
  settle()
  yield* Effect.acquireRelease(
    Effect.sync(() => membership.listen(settle)),
    (stop) => Effect.sync(stop)
  )
  const replicator = yield* makeReplicator(check, heartbeatMillis)
  for (const peer of ids) yield* Effect.forkScoped(replicator(peer))
  /** Who is told no waits for `ready` next: that may not be open because nobody has told of a change yet. */
  const isReady = (): boolean => {
    settle()
    return ready.isOpen()
  }
  return Replication.of({ ready: ready.await, isReady, wasReady: () => wasReady })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(Replication, make)

// ---------------------------------------------------------------------------------------------------------------------

/** The link to one peer, over all its connections. */
interface Link {
  readonly peer: ReplicaId.ReplicaId
  state: LinkState.LinkState
}

/** What replicates to and from one peer, for ever. */
const makeReplicator = Effect.fnUntraced(function* (check: StartCheck.StartCheck, heartbeatMillis: number) {
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const membership = yield* Membership
  const transport = yield* PeerTransport
  const clock = yield* Clock.Clock
  const handshake = yield* Handshake.make
  const connections = yield* Connections
  const store = OwnStore.make(heartbeatMillis)
  const catchUp = yield* CatchUp.make(logs, peers, store, membership.differs, membership.receive, membership.borrows)
  const mend = Mending.make(logs, membership, store)
  const adopt = Adoption.make(logs, membership, store)
  const mayWrite = () => check.isDone() && membership.mayWrite()
  const keep = yield* Again.make(logs, membership, store)
  const settleForks = yield* Forks.make(logs, membership, peers, store, keep, mayWrite)
  const offer = Offering.make(logs, membership, store, keep)
  // What is damaged is fetched when it is found, and not at the next heartbeat.
  yield* Effect.acquireRelease(
    Effect.sync(() => logs.onDamage(({ _tag }) => void (_tag === "Found" && connections.fetchNow()))),
    (stop) => Effect.sync(stop)
  )
  const requestTimeoutMillis = yield* PeerProtocol.RequestTimeout
  const monotonicMillis = () => Monotonic.millis(clock)

  const bounded = <A, E, R>(peer: ReplicaId.ReplicaId, request: Effect.Effect<A, E, R>) =>
    Effect.timeoutOrElse(request, {
      duration: requestTimeoutMillis,
      orElse: () => Effect.fail(UnderWay.silent(peer, requestTimeoutMillis))
    })

  /** One timer watches over all calls whose limit is the connection's; see `PushLoop`. */
  const bound = (peer: ReplicaId.ReplicaId, client: PeerMethods.PeerClient): PeerMethods.PeerClient =>
    PeerMethods.wrap(client, (call, name) =>
      PeerMethods.methods[name].timeLimit === "call" ? bounded(peer, call) : call
    )

  const connect = Effect.fnUntraced(function* (link: Link) {
    const { peer } = link
    const client = bound(peer, yield* bounded(peer, transport.connect(peer)))
    const source: CatchUp.Source = { peer, client, batchBytes: () => link.state.batchBytes }
    const welcome = yield* handshake(peer, client, (welcome) => {
      peers.reset(peer)
      catchUp.forget(peer)
      return catchUp.compare(peer, welcome)
    })
    check.tried(peer)
    return { source, welcome }
  })

  /** Compares version vectors and pulls, now and on every heartbeat. Ends only by failing. */
  const heartbeats = Effect.fnUntraced(function* (
    link: Link,
    source: CatchUp.Source,
    first: PeerProtocol.Welcome,
    again: Latch.Latch
  ) {
    const { peer } = link
    let before: PeerProtocol.Welcome | undefined
    let welcome = first
    let isWanted = false
    while (true) {
      yield* adopt(source, welcome)
      yield* offer
      // What is damaged here may be erased elsewhere, and an old copy would bring it back.
      if (welcome.stale !== true) yield* mend(source, welcome)
      yield* settleForks(source, welcome)
      yield* catchUp.fetchMissing(source, welcome, before, isWanted)
      isWanted = yield* Effect.raceFirst(
        Effect.as(Effect.raceFirst(Effect.sleep(heartbeatMillis), again.await), false),
        Effect.as(connections.wanted(peer), true)
      )
      again.closeUnsafe()
      before = welcome
      welcome = yield* handshake(peer, source.client, (welcome) => catchUp.compare(peer, welcome))
      if (welcome.session !== before.session) return yield* new PeerProtocol.SessionUnknown()
      // It has got the entry from another peer since: the log goes on from there.
      const rejected = peers.get(peer).rejected.get(logs.own)
      if (rejected !== undefined && heldBy(peer) >= rejected.seq) return yield* new PeerProtocol.SessionUnknown()
      if (serves(link)) works(link)
    }
  })

  /** How far the peer holds the own log. */
  const heldBy = (peer: ReplicaId.ReplicaId): number => peers.get(peer).watermarks.get(logs.own)?.seq ?? 0

  /** Whether writes can count on the peer: its store did not fail, or has all of our log by now. */
  const serves = ({ peer, state }: Link): boolean => !state.failsToStore || heldBy(peer) >= logs.head(logs.own).seq

  const works = (link: Link): void => {
    const { peer } = link
    link.state = LinkState.works(link.state)
    if (peers.get(peer).link._tag === "Up") return
    const up = { _tag: "Up", sinceWallMillis: clock.currentTimeMillisUnsafe() } as const
    peers.report({ _tag: "Link", peer, link: up, monotonicMillis: monotonicMillis() })
  }

  const failed = (link: Link, error: LinkState.LinkFailure | OwnStore.OwnFault | Renewed) =>
    Effect.suspend(() => {
      const { peer } = link
      const now = monotonicMillis()
      if (error._tag === "Renewed") return Effect.void
      check.failed(peer, now)
      if (error._tag === "OwnFault") return Effect.sleep(heartbeatMillis)
      link.state = LinkState.failed(link.state, error)
      const before = peers.get(peer).link
      const down = before._tag === "Down" ? before : undefined
      peers.report({
        _tag: "Link",
        peer,
        link: {
          _tag: "Down",
          sinceWallMillis: down?.sinceWallMillis ?? clock.currentTimeMillisUnsafe(),
          sinceMonotonicMillis: down?.sinceMonotonicMillis ?? now,
          verdict: LinkState.verdictOf(error),
          detail: error.message
        },
        monotonicMillis: now
      })
      const said = down?.detail === error.message ? Effect.void : Effect.logWarning(`lost ${peer}: ${error.message}`)
      return Effect.andThen(
        said,
        Effect.flatMap(Random.next, (random) => Effect.sleep(LinkState.pauseMillis(link.state, random)))
      )
    })

  /** One connection, from the first try to its end. */
  const connection = (link: Link) =>
    Effect.gen(function* () {
      const asked = logs.own
      const { source, welcome } = yield* connect(link)
      // What a peer knows this replica by has changed: it is greeted anew, and its session is another.
      if (logs.own !== asked) return yield* Effect.fail(new Renewed())
      const renewed = Effect.andThen(membership.renewed, Effect.fail(new Renewed()))
      const again = Latch.makeUnsafe()
      const greetAgain = () => void again.openUnsafe()
      // A peer that answers and cannot store is no use to a write: it is up again when it has acked.
      if (serves(link)) works(link)
      yield* Effect.logInfo(`connected to ${link.peer}`)
      yield* connections.made({ peer: link.peer, client: source.client, session: welcome.session })
      const pushes = PushLoop.run(
        { logs, membership, peers, store, requestTimeoutMillis },
        {
          ...source,
          welcome,
          slots: LinkState.isCautious(link.state) ? 1 : transport.maxInFlight,
          onAck: () => {
            works(link)
            link.state = LinkState.grown(link.state)
          },
          greetAgain
        }
      )
      const { client, peer } = source
      const probing = ProbeLoop.run({
        peer,
        client,
        session: welcome.session,
        timeoutMillis: requestTimeoutMillis,
        members: membership.hash,
        greetAgain
      })
      return yield* Effect.raceAllFirst([pushes, probing, heartbeats(link, source, welcome, again), renewed])
    }).pipe(
      Effect.scoped,
      Effect.catchDefect((defect) => Effect.fail(UnderWay.broken(link.peer, defect)))
    )

  /** Connects again and again, after a pause that grows while nothing works. */
  return (peer: ReplicaId.ReplicaId) => {
    const link: Link = { peer, state: LinkState.make(peer) }
    return Effect.forever(Effect.catch(connection(link), (error) => failed(link, error)))
  }
})

/** This replica has another incarnation: a connection on which it said the one before is of no use. */
class Renewed {
  readonly _tag = "Renewed"
}
