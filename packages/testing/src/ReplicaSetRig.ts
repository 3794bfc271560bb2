/**
 * A whole replica set in one process: production code over the in-memory store and network, for tests on virtual time.
 * Replicas start and stop one by one, on stores that outlive them; links are cut and healed.
 */
import {
  type Backup,
  type QuorumPolicy,
  QuorumWriter,
  Records,
  Replica,
  ReplicaEvents,
  ReplicaId,
  ReplicaSet,
  ReplicaStatus
} from "@quorum/core"
import { MemoryNetwork, type PeerHandler, PeerTransport, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import * as FaultyPeerTransport from "./FaultyPeerTransport.ts"

/** What a replica of the rig consists of. */
export type Services =
  | QuorumWriter.QuorumWriter
  | Records.Records
  | ReplicaEvents.ReplicaEvents
  | ReplicaStatus.ReplicaStatus
  | Backup.Backup
  | PeerHandler.PeerHandler

/** How a replica is started. */
export interface StartOptions extends Replica.Options {
  /** What it is built on: a clock of its own, a limit, a registry of metrics. */
  readonly on?: Layer.Layer<never>
  /** What listens to it, for as long as it runs. */
  readonly beside?: Layer.Layer<never, never, Services>
  /** Decorates its store, for this start. */
  readonly store?: (store: ReplicaStore.ReplicaStore["Service"]) => ReplicaStore.ReplicaStore["Service"]
  /** The index of its records; a new one in memory unless given. */
  readonly index?: RecordIndex.RecordIndex["Service"]
  /** Decorates its transport, under the faults of its links. */
  readonly transport?: (transport: PeerTransport.PeerTransport["Service"]) => PeerTransport.PeerTransport["Service"]
}

/** A replica that runs. */
export interface Running {
  readonly id: ReplicaId.ReplicaId
  readonly writer: QuorumWriter.QuorumWriter["Service"]
  readonly records: Records.Records["Service"]
  readonly events: ReplicaEvents.ReplicaEvents["Service"]
  readonly status: () => ReplicaStatus.Status
  /** All its services, and the references that it was built on. */
  readonly context: Context.Context<Services>
  /** The faults of its calls to its peers: `links.cut(peer)` and more. */
  readonly links: FaultyPeerTransport.LinkFaults
  /** Stops it in order. */
  readonly stop: Effect.Effect<void>
}

/** A replica set of which nobody runs yet. Everything ends with the scope. */
export interface ReplicaSetRig {
  /** Starts a replica on its store, which is made when it is missing. */
  readonly start: (id: string, options?: StartOptions) => Effect.Effect<Running, unknown, Scope.Scope>
  /** Takes a store away: the next start makes a new one, blank and of another incarnation. */
  readonly wipe: (id: string) => void
  /** The store of a replica that was started. */
  readonly store: (id: string) => ReplicaStore.ReplicaStore["Service"]
  /** Puts another store in its place, for the next start. */
  readonly replaceStore: (id: string, store: ReplicaStore.ReplicaStore["Service"]) => void
}

/** Makes a replica set of these members; `policy` is that of every replica, a majority unless given. */
export const make = Effect.fnUntraced(function* (
  members: ReadonlyArray<string>,
  policy?: QuorumPolicy.QuorumPolicy
): Effect.fn.Return<ReplicaSetRig, never, Scope.Scope> {
  const network = yield* Layer.build(MemoryNetwork.layer)
  const stores = new Map<string, ReplicaStore.ReplicaStore["Service"]>()
  const wiped = new Set<string>()

  const start = Effect.fnUntraced(function* (self: string, options: StartOptions = {}) {
    const { index, store: under = same, transport: over = same, ...rest } = options
    const { beside = Layer.empty, on = Layer.empty, ...replica } = rest
    const id = ReplicaId.make(self)
    const doubt = wiped.has(self) ? "blank" : "none"
    const store = stores.get(self) ?? (yield* ReplicaStore.makeMemory({ cluster: "test", replica: id, doubt }))
    stores.set(self, store)
    const scope = yield* Scope.make()
    const links = FaultyPeerTransport.faults()
    const transport = FaultyPeerTransport.layer(links).pipe(
      Layer.provide(Layer.effect(PeerTransport.PeerTransport, Effect.map(PeerTransport.PeerTransport, over))),
      Layer.provide(MemoryNetwork.layerTransport)
    )
    const layer = Layer.merge(MemoryNetwork.layerServer, beside).pipe(
      Layer.provideMerge(Replica.layer({ ...(policy === undefined ? {} : { policy }), ...replica })),
      Layer.provide(transport),
      Layer.provide([
        index === undefined ? RecordIndex.layerMemory : Layer.succeed(RecordIndex.RecordIndex, index),
        Layer.succeed(ReplicaStore.ReplicaStore, under(store)),
        Logger.layer([])
      ]),
      Layer.provide(ReplicaSet.layer({ cluster: "test", self, members })),
      Layer.provide(Layer.succeedContext(network)),
      Layer.provideMerge(on)
    )
    const context = yield* Layer.buildWithScope(layer, scope)
    const running: Running = {
      id,
      writer: Context.get(context, QuorumWriter.QuorumWriter),
      records: Context.get(context, Records.Records),
      events: Context.get(context, ReplicaEvents.ReplicaEvents),
      status: Context.get(context, ReplicaStatus.ReplicaStatus).current,
      context,
      links,
      stop: Scope.close(scope, Exit.void)
    }
    yield* Effect.addFinalizer(() => running.stop)
    return running
  })

  return {
    start,
    wipe: (id) => {
      stores.delete(id)
      wiped.add(id)
    },
    store: (id) => stores.get(id)!,
    replaceStore: (id, store) => void stores.set(id, store)
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const same = <A>(one: A): A => one
