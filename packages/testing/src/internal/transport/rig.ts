/** What the transport's cases share: replicas that are served, started again and killed, and a caller. */
import {
  type Entry,
  Replica as QuorumReplica,
  QuorumWriter,
  type Receipt,
  ReplicaEvents,
  ReplicaStatus,
  type LogId,
  ReplicaId,
  ReplicaSet
} from "@quorum/core"
import {
  type EntryBatch,
  PeerHandler,
  type PeerMethods,
  PeerProtocol,
  PeerTransport,
  RecordIndex,
  ReplicaStore,
  Watermark
} from "@quorum/core/adapter"
import { Context, Effect, Exit, Layer, Logger, Result, Scope } from "effect"
import * as FaultyReplicaStore from "../../FaultyReplicaStore.ts"
import * as Greeting from "../../Greeting.ts"
import { Wire } from "../../Wire.ts"
import { within } from "../waiting.ts"
import * as TcpProxy from "./TcpProxy.ts"

export const cluster = "conformance"
export const a = ReplicaId.make("a")
export const b = ReplicaId.make("b")
export const c = ReplicaId.make("c")

/** The caller's store and log. */
export const incarnation = "00000000000000aa" as LogId.Incarnation
export const logA = `a@${incarnation}` as LogId.LogId

export const membersAs = (self: ReplicaId.ReplicaId): ReplicaSet.Members =>
  Result.getOrThrow(ReplicaSet.make({ cluster, self, members: ["a", "b", "c"] }))

/** The caller's handshake. */
export const hello: PeerProtocol.Hello = Greeting.hello(a, { cluster, incarnation })

type Handler = PeerHandler.PeerHandler["Service"]

/** A replica that can be served, over and over, on the same store and at the same address. */
export interface Replica {
  readonly id: ReplicaId.ReplicaId
  /** What is held, whatever the faults say. */
  readonly store: ReplicaStore.ReplicaStore["Service"]
  readonly faults: FaultyReplicaStore.StoreFaults
  readonly start: Effect.Effect<Running>
}

/** A replica that is served. */
export interface Running {
  /** The port of its server, without the proxy. Fails the case when the transport has none. */
  readonly port: Effect.Effect<number>
  /** Stops it in order. */
  readonly stop: Effect.Effect<void>
  /** Its machine is gone, without a word. Does not wait for anything that it was doing. */
  readonly die: Effect.Effect<void>
}

/** Makes what one case needs. */
export const make = Effect.gen(function* () {
  const wire = yield* Wire
  const caseScope = yield* Effect.scope
  const proxies = new Map<ReplicaId.ReplicaId, TcpProxy.TcpProxy>()
  for (const id of [b, c]) proxies.set(id, yield* TcpProxy.make)
  const proxy = (id: ReplicaId.ReplicaId): TcpProxy.TcpProxy => proxies.get(id)!

  const replica = Effect.fnUntraced(function* (
    id: ReplicaId.ReplicaId,
    decorate: (handler: Handler) => Handler = (handler) => handler,
    /** Whose address it answers at. */
    at: ReplicaId.ReplicaId = id
  ) {
    const store = yield* ReplicaStore.makeMemory({ cluster, replica: id })
    const faults = FaultyReplicaStore.faults()
    const start = Effect.gen(function* () {
      const scope = yield* Scope.fork(caseScope)
      const context = yield* QuorumReplica.layer().pipe(
        Layer.provide([RecordIndex.layerMemory, aloneInTheNetwork, Logger.layer([])]),
        Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, FaultyReplicaStore.make(store, faults))),
        Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, membersAs(id))),
        Layer.buildWithScope(scope),
        Effect.orDie
      )
      const handler = decorate(Context.get(context, PeerHandler.PeerHandler))
      const port = yield* Effect.orDie(Scope.provide(wire.serve(at, handler), scope))
      if (port !== undefined) proxy(at).set({ _tag: "Forward", port })
      const running: Running = {
        port: port === undefined ? noPort : Effect.succeed(port),
        stop: Scope.close(scope, Exit.void),
        die: Effect.gen(function* () {
          proxy(at).set({ _tag: "Refuse" })
          proxy(at).reset()
          yield* Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true })
        })
      }
      return running
    })
    return { id, store, faults, start } satisfies Replica
  })

  /** The transport of the caller, or of another replica. */
  const transport = (self = a) =>
    Effect.orDie(wire.transport(membersAs(self), (peer) => proxies.get(peer)?.port ?? proxy(b).port))

  return {
    replica,
    transport,
    /** A replica, started. */
    serve: (id: ReplicaId.ReplicaId, decorate?: (handler: Handler) => Handler) =>
      Effect.flatMap(replica(id, decorate), (made) => Effect.map(made.start, (running) => ({ ...made, ...running }))),
    /** The proxy before a replica. Fails the case when the transport has no ports. */
    proxyOf: (id: ReplicaId.ReplicaId, running: Running) => Effect.as(running.port, proxy(id)),
    proxy
  }
})

/** What one case needs. */
export type Rig = Effect.Success<typeof make>

const noPort = Effect.die(
  new Error("the case needs a port: let the wire name it, or skip the case, for the reason that there is none")
)

/** Connects and makes the handshake; both in bounded time. */
export const connect = Effect.fnUntraced(function* (
  transport: PeerTransport.PeerTransport["Service"],
  peer: ReplicaId.ReplicaId = b
) {
  const client: PeerMethods.PeerClient = yield* within(`connecting to ${peer}`)(transport.connect(peer))
  const welcome = yield* within(`the handshake with ${peer}`)(client.hello(hello))
  return {
    client,
    welcome,
    /** What of the ack echoes the push; it says more of the peer. */
    push: (batch: EntryBatch.EntryBatch) =>
      Effect.map(client.push({ session: welcome.session, batch }), ({ chain, log, replica, seq }) => ({
        replica,
        log,
        seq,
        chain
      })),
    pull: (log: LogId.LogId, after: number, maxBytes = PeerProtocol.maxBatchBytes) =>
      client.pull({ session: welcome.session, log, after, maxBytes })
  }
})

/** A whole replica, the caller, watched from outside. */
export interface Observer {
  /** Appends a write, and waits for no peer. */
  readonly append: (write: Entry.Write) => Effect.Effect<Receipt.Receipt, QuorumWriter.CommitError>
  /** How far its own log goes. */
  readonly head: () => Watermark.Watermark
  /** What it knows of a peer. */
  readonly peer: (id: ReplicaId.ReplicaId) => ReplicaStatus.PeerStatus
  readonly events: ReplicaEvents.ReplicaEvents["Service"]
}

/** A whole replica over a transport: what it counts is what a writer counts. */
export const observer = Effect.fnUntraced(function* (
  transport: PeerTransport.PeerTransport["Service"]
): Effect.fn.Return<Observer, never, Scope.Scope> {
  const store = yield* ReplicaStore.makeMemory({ cluster, replica: a, incarnation })
  const context = yield* Layer.build(
    QuorumReplica.layer().pipe(
      Layer.provide([RecordIndex.layerMemory, Logger.layer([])]),
      Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, store)),
      Layer.provide(Layer.succeed(PeerTransport.PeerTransport, transport)),
      Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, membersAs(a))),
      Layer.provide(Layer.succeed(PeerProtocol.RequestTimeout, 300)),
      Layer.provide(Layer.succeed(PeerProtocol.HeartbeatInterval, 100)),
      Layer.orDie
    )
  )
  const writer = Context.get(context, QuorumWriter.QuorumWriter)
  const status = Context.get(context, ReplicaStatus.ReplicaStatus)
  return {
    append: (write) => writer.commit(write, { w: 1 }),
    head: () => status.current().vector.find(({ log }) => log === logA) ?? Watermark.none(logA),
    peer: (id) => status.current().peers.find(({ replica }) => replica === id)!,
    events: Context.get(context, ReplicaEvents.ReplicaEvents)
  }
})

/** Reaches nobody: for a replica that only answers. */
const aloneInTheNetwork = Layer.succeed(
  PeerTransport.PeerTransport,
  PeerTransport.PeerTransport.of({
    maxInFlight: 1,
    connect: (peer) => Effect.fail(new PeerProtocol.PeerUnreachable({ peer, reason: "refused", detail: "no network" }))
  })
)
