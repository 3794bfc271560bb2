/**
 * Keeps every peer supplied with this replica's own log, and fetches from any peer what this replica misses.
 *
 * One replicator per peer: connect, make the handshake, push from the peer's watermark on, and on every heartbeat
 * compare version vectors and pull. There is no list of what to send again: what a peer misses is the range after its
 * watermark, read from the log.
 */
import { Clock, Context, Effect, Latch, Layer, Semaphore } from "effect"
import { EventSink } from "../events/EventSink.ts"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import { Connections } from "./Connections.ts"
import type * as CatchUp from "./internal/CatchUp.ts"
import * as Heartbeats from "./internal/Heartbeats.ts"
import * as Links from "./internal/Links.ts"
import * as LinkState from "./internal/LinkState.ts"
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

/** How many questions about keys and writes are under way to one peer at once. */
const maxQuestions = 64

/** What replicates to and from one peer, for ever. */
const makeReplicator = Effect.fnUntraced(function* (check: StartCheck.StartCheck, heartbeatMillis: number) {
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const membership = yield* Membership
  const transport = yield* PeerTransport
  const connections = yield* Connections
  const store = OwnStore.make(heartbeatMillis)
  const links = yield* Links.make({ logs, peers, check, heartbeatMillis })
  const mayWrite = () => check.isDone() && membership.mayWrite()
  const heartbeats = yield* Heartbeats.make({ store, links, mayWrite, heartbeatMillis })
  const requestTimeoutMillis = yield* PeerProtocol.RequestTimeout

  const bounded = <A, E, R>(peer: ReplicaId.ReplicaId, request: Effect.Effect<A, E, R>) =>
    Effect.timeoutOrElse(request, {
      duration: requestTimeoutMillis,
      orElse: () => Effect.fail(UnderWay.silent(peer, requestTimeoutMillis))
    })

  /**
   * One timer watches over all calls whose limit is the connection's; see `PushLoop`. Questions about keys and writes, of
   * which there may be one for each read that somebody waits for, are asked so many at once: on the connection of others
   * what is replicated would wait behind them, and over HTTP each takes a connection of its own (law L23).
   */
  const bound = (peer: ReplicaId.ReplicaId, client: PeerMethods.PeerClient): PeerMethods.PeerClient => {
    const questions = Semaphore.makeUnsafe(maxQuestions)
    return PeerMethods.wrap(client, (call, name) => {
      const asked = name === "read" || name === "verify" ? questions.withPermit(call) : call
      return PeerMethods.methods[name].timeLimit === "call" ? bounded(peer, asked) : asked
    })
  }

  const connect = Effect.fnUntraced(function* (link: Links.Link) {
    const { peer } = link
    const client = bound(peer, yield* bounded(peer, transport.connect(peer)))
    const source: CatchUp.Source = { peer, client, batchBytes: () => link.state.batchBytes }
    const welcome = yield* heartbeats.greet(peer, client)
    check.tried(peer)
    return { source, welcome }
  })

  /** One connection, from the first try to its end. */
  const connection = (link: Links.Link) =>
    Effect.gen(function* () {
      const asked = logs.own
      const { source, welcome } = yield* connect(link)
      // What a peer knows this replica by has changed: it is greeted anew, and its session is another.
      if (logs.own !== asked) return yield* Effect.fail(new Links.Renewed())
      const renewed = Effect.andThen(membership.renewed, Effect.fail(new Links.Renewed()))
      const again = Latch.makeUnsafe()
      const greetAgain = () => void again.openUnsafe()
      // A peer that answers and cannot store is no use to a write: it is up again when it has acked.
      if (links.serves(link)) {
        links.works(link)
        yield* Effect.logInfo(`connected to ${link.peer}`)
      }
      yield* connections.made({ peer: link.peer, client: source.client, session: welcome.session })
      const pushes = PushLoop.run(
        { logs, membership, peers, store, requestTimeoutMillis },
        {
          ...source,
          welcome,
          slots: LinkState.isCautious(link.state) ? 1 : transport.maxInFlight,
          onAck: () => {
            links.works(link)
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
      return yield* Effect.raceAllFirst([pushes, probing, heartbeats.run(link, source, welcome, again), renewed])
    }).pipe(
      Effect.scoped,
      Effect.catchDefect((defect) => Effect.fail(UnderWay.broken(link.peer, defect)))
    )

  /** Connects again and again, after a pause that grows while nothing works. */
  return (peer: ReplicaId.ReplicaId) => {
    const link = Links.linkTo(peer)
    return Effect.forever(Effect.catch(connection(link), (error) => links.failed(link, error)))
  }
})
