/** A replica set in one process, on virtual time: production code over the in-memory store and network. */
import * as Compaction from "../../src/upkeep/Compaction.ts"
import * as Membership from "../../src/peer/Membership.ts"
import * as Peers from "../../src/peer/Peers.ts"
import * as ReplicaLogs from "../../src/log/ReplicaLogs.ts"
import {
  Chain,
  PeerMethods,
  type PeerHandler,
  MemoryNetwork,
  PeerTransport,
  RecordIndex,
  ReplicaStore
} from "../../src/adapter.ts"
import {
  type Changes,
  ClientSessions,
  QuorumPolicy,
  QuorumWriter,
  Records,
  ReplicaEvents,
  ReplicaId,
  ReplicaSet,
  ReplicaStatus,
  WriteId
} from "../../src/index.ts"
import { type Options, parts } from "../../src/internal/parts.ts"
import { Context, Effect, Exit, Layer, Logger, Option, Random, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

export type Services =
  | QuorumWriter.QuorumWriter
  | Records.Records
  | ReplicaLogs.ReplicaLogs
  | Peers.Peers
  | PeerHandler.PeerHandler

export interface Running {
  readonly id: ReplicaId.ReplicaId
  readonly writer: QuorumWriter.QuorumWriter["Service"]
  readonly records: Records.Records["Service"]
  readonly sessions: ClientSessions.ClientSessions["Service"]
  readonly logs: ReplicaLogs.ReplicaLogs["Service"]
  readonly peers: Peers.Peers["Service"]
  readonly events: ReplicaEvents.ReplicaEvents["Service"]
  readonly membership: Membership.Membership["Service"]
  readonly compaction: Compaction.Compaction["Service"]
  readonly status: () => ReplicaStatus.Status
  readonly stop: Effect.Effect<void>
}

/** A policy by which nobody is asked before a write is stamped, unless that is what a test is about. */
export const policy = (
  n: number,
  w: number,
  extra: Partial<Parameters<typeof QuorumPolicy.make>[0]> = {}
): QuorumPolicy.QuorumPolicy => Result.getOrThrow(QuorumPolicy.make({ n, w, order: "clock", ...extra }))

export const id = ReplicaId.make

/** The id of the write that a replica holds at a place of its own log. */
export const idAt = ({ chainAt, own }: ReplicaLogs.ReplicaLogs["Service"], seq: number) =>
  Effect.map(chainAt(own, seq), (chain) => WriteId.make(own, seq, Chain.check(Option.getOrThrow(chain))))

/** Makes a replica set; its replicas start one by one with `start`, on stores that outlive them. */
export const make = Effect.fnUntraced(function* (ids: ReadonlyArray<string>, w: number) {
  const network = Context.get(yield* Layer.build(MemoryNetwork.layer), MemoryNetwork.MemoryNetwork)
  const stores = new Map<string, ReplicaStore.ReplicaStore["Service"]>()
  const doubts = new Map<string, ReplicaStore.Doubt>()
  /** Directed links that are cut: `from>to`. */
  const cut = new Set<string>()
  /** Decorates the client that `from` uses to reach `to`. */
  const faults = new Map<string, (client: PeerMethods.PeerClient) => PeerMethods.PeerClient>()
  // The same in every run: by pauses that are drawn, a test may fail in one run of many hundreds.
  const random = yield* Random.withSeed(Random.Random, "cluster")

  const transport = (from: ReplicaId.ReplicaId) =>
    PeerTransport.PeerTransport.of({
      maxInFlight: 4,
      connect: (peer) =>
        Effect.map(network.connect(peer), (client) => {
          const decorated = faults.get(`${from}>${peer}`)?.(client) ?? client
          const call = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
            Effect.suspend(() => (cut.has(`${from}>${peer}`) ? Effect.never : effect))
          return PeerMethods.wrap(decorated, call)
        })
    })

  const storeOf = Effect.fnUntraced(function* (name: string) {
    const known = stores.get(name)
    if (known !== undefined) return known
    const store = yield* ReplicaStore.makeMemory({
      cluster: "test",
      replica: id(name),
      doubt: doubts.get(name) ?? "none"
    })
    stores.set(name, store)
    return store
  })

  const start = Effect.fnUntraced(function* (
    name: string,
    options: {
      readonly policy?: QuorumPolicy.QuorumPolicy
      readonly namespaces?: Readonly<Record<string, QuorumPolicy.QuorumPolicy>>
      readonly replica?: Options
      readonly logger?: Layer.Layer<never>
      /** An index of the test's own instead of an empty one in memory. */
      readonly index?: RecordIndex.RecordIndex["Service"]
      /** The members in another order than that in which they were named. */
      readonly members?: ReadonlyArray<string>
      /** Another process of the replica, which nobody reaches: the name of its links, for `cut`. */
      readonly second?: string
    } = {}
  ) {
    const scope = yield* Scope.make()
    const layer = MemoryNetwork.layerServer.pipe(
      Layer.provideMerge(
        parts({
          policy: options.policy ?? policy(ids.length, w),
          namespaces: options.namespaces ?? {},
          ...options.replica
        })
      ),
      Layer.provide(Layer.succeed(PeerTransport.PeerTransport, transport(id(options.second ?? name)))),
      Layer.provide(
        Layer.succeed(
          MemoryNetwork.MemoryNetwork,
          options.second === undefined ? network : { ...network, register: () => Effect.void }
        )
      ),
      Layer.provide(
        options.index === undefined ? RecordIndex.layerMemory : Layer.succeed(RecordIndex.RecordIndex, options.index)
      ),
      Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, yield* storeOf(name))),
      Layer.provideMerge(ReplicaSet.layer({ cluster: "test", self: name, members: options.members ?? ids })),
      Layer.provide(options.logger ?? Logger.layer([]))
    )
    const context = yield* Effect.provideService(Layer.buildWithScope(layer, scope), Random.Random, random)
    const running: Running = {
      id: id(name),
      writer: Context.get(context, QuorumWriter.QuorumWriter),
      records: Context.get(context, Records.Records),
      sessions: Context.get(context, ClientSessions.ClientSessions),
      logs: Context.get(context, ReplicaLogs.ReplicaLogs),
      peers: Context.get(context, Peers.Peers),
      events: Context.get(context, ReplicaEvents.ReplicaEvents),
      membership: Context.get(context, Membership.Membership),
      compaction: Context.get(context, Compaction.Compaction),
      status: Context.get(context, ReplicaStatus.ReplicaStatus).current,
      stop: Scope.close(scope, Exit.void)
    }
    yield* Effect.addFinalizer(() => running.stop)
    return running
  })

  return {
    network,
    stores,
    faults,
    start,
    storeOf,
    /** A wiped store: the next start makes a new one, which is blank and of another incarnation. */
    wipe: (name: string) => {
      stores.delete(name)
      doubts.set(name, "blank")
    },
    /** What is in doubt when a store is made; nothing unless said. */
    doubts,
    /** Nothing passes from `from` to `to`: calls get no answer. */
    cut: (from: string, to: string) => void cut.add(`${from}>${to}`),
    join: (from: string, to: string) => void cut.delete(`${from}>${to}`),
    heal: () => cut.clear()
  }
})

/** Starts replicas of a replica set; those that are not named in `up` stay down. */
export const running = Effect.fnUntraced(function* (ids: string, w: number, up = ids) {
  const cluster = yield* make([...ids], w)
  const replicas = yield* Effect.forEach([...up], (id) => cluster.start(id))
  yield* TestClock.adjust(1000)
  return { cluster, replicas, a: replicas[0]!, b: replicas[1]!, c: replicas[2]! }
})

/** The changes that a replica shows from a position until now, as text. */
export const changesOf = ({ records }: Running, since: Changes.Vector = []) =>
  Effect.map(Stream.runCollect(records.changes({ since, until: "now" })), (pages) =>
    Array.from(pages).flatMap(({ changes }) =>
      changes.map(({ deleted, key, value }) => (deleted ? `${key}-` : `${key}=${new TextDecoder().decode(value)}`))
    )
  )

/** Replaces a replica's store before it starts. */
export const withStore = Effect.fnUntraced(function* (
  cluster: Effect.Success<ReturnType<typeof make>>,
  name: string,
  append: (append: ReplicaStore.ReplicaStore["Service"]["append"]) => typeof append
) {
  const store = yield* cluster.storeOf(name)
  cluster.stores.set(name, { ...store, append: append(store.append) })
})
