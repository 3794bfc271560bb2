/** A replica set in one process, on virtual time, with the metrics of every replica in a registry of its own. */
import { Context, Clock, Effect, Exit, Fiber, Layer, Logger, Metric, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { ReplicaEvents, ReplicaStatus } from "@quorum/core"
import { Entry, QuorumPolicy, QuorumWriter, Records, Replica, ReplicaId, ReplicaSet } from "@quorum/core"
import {
  MemoryNetwork,
  type PeerMethods,
  PeerHandler,
  PeerTransport,
  RecordIndex,
  ReplicaStore
} from "@quorum/core/adapter"
import { FaultyReplicaStore } from "@quorum/testing"
import { type Definitions, Prometheus, ReplicaMetrics } from "../../src/index.ts"
import { definitions, prometheus } from "../../src/Definitions.ts"

export const members = ["a", "b", "c"]

const policy = Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 2 }))

/** How a replica is started. */
export interface Options {
  /** How far its clock is ahead. */
  readonly aheadMillis?: number
  /** Beside the metrics. */
  readonly also?: Layer.Layer<never, never, ReplicaEvents.ReplicaEvents | ReplicaStatus.ReplicaStatus>
}

/** Makes a replica set whose replicas start one by one, on stores that outlive them. */
export const make = Effect.gen(function* () {
  const network = Context.get(yield* Layer.build(MemoryNetwork.layer), MemoryNetwork.MemoryNetwork)
  const stores = new Map<string, ReplicaStore.ReplicaStore["Service"]>()
  /** Directed links that answer nothing: `from>to`. */
  const cut = new Set<string>()
  /** How long requests of a link take, in milliseconds. */
  const slow = new Map<string, number>()
  /** Bytes that are said to wait in the connections to a replica. */
  const waitingBytes = new Map<string, number>()
  /** Decorates the client that `from` uses to reach `to`. */
  const decorations = new Map<string, (client: PeerMethods.PeerClient) => PeerMethods.PeerClient>()

  const transport = (from: string) =>
    PeerTransport.PeerTransport.of({
      maxInFlight: 4,
      waitingBytes: (peer) => waitingBytes.get(peer) ?? 0,
      connect: (peer) =>
        Effect.map(network.connect(peer), (client) => {
          const decorated = decorations.get(`${from}>${peer}`)?.(client) ?? client
          const call = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
            Effect.suspend(() => {
              if (cut.has(`${from}>${peer}`)) return Effect.never
              const millis = slow.get(`${from}>${peer}`)
              return millis === undefined ? effect : Effect.delay(effect, millis)
            })
          return {
            ...decorated,
            hello: (request) => call(decorated.hello(request)),
            push: (request) => call(decorated.push(request)),
            pull: (request) => call(decorated.pull(request))
          }
        })
    })

  const start = Effect.fnUntraced(function* (self: string, { aheadMillis = 0, also = Layer.empty }: Options = {}) {
    const store =
      stores.get(self) ?? (yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make(self) }))
    stores.set(self, store)
    const faults = FaultyReplicaStore.faults()
    const scope = yield* Scope.make()
    const registry: Metric.MetricRegistry = new Map()
    const context = yield* Layer.merge(ReplicaMetrics.layer, also).pipe(
      Layer.provideMerge(MemoryNetwork.layerServer),
      Layer.provideMerge(Replica.layer({ policy })),
      Layer.provide(Layer.succeed(PeerTransport.PeerTransport, transport(self))),
      Layer.provide(Layer.succeed(MemoryNetwork.MemoryNetwork, network)),
      Layer.provide(RecordIndex.layerMemory),
      Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, FaultyReplicaStore.make(store, faults))),
      Layer.provide(ReplicaSet.layer({ cluster: "test", self, members })),
      Layer.provide(Layer.succeed(Clock.Clock, ahead(yield* Clock.Clock, aheadMillis))),
      Layer.provideMerge(Layer.succeed(Metric.MetricRegistry, registry)),
      Layer.provide(Logger.layer([])),
      Layer.buildWithScope(scope)
    )
    const stop = Scope.close(scope, Exit.void)
    yield* Effect.addFinalizer(() => stop)
    const text = () => Prometheus.format(context)
    return {
      writer: Context.get(context, QuorumWriter.QuorumWriter),
      records: Context.get(context, Records.Records),
      handler: Context.get(context, PeerHandler.PeerHandler),
      faults,
      stop,
      text,
      /** The value of a series in the text that Prometheus reads. */
      value: (key: Definitions.Key, labels: Readonly<Record<string, string>> = {}, suffix = "") =>
        valueIn(text(), `${prometheus(key)}${suffix}`, labels)
    }
  })

  return { start, cut, slow, decorations, stores, waitingBytes }
})

/** A running replica. */
export type Running = Effect.Success<ReturnType<Effect.Success<typeof make>["start"]>>

/** Commits a write, and leaves time for what follows. */
export const commit = Effect.fnUntraced(function* (replica: Running, key: string, w?: number) {
  const options = w === undefined ? {} : { w }
  const fiber = yield* Effect.forkChild(Effect.exit(replica.writer.commit(Entry.put("notes", key, "value"), options)))
  yield* pass(3000)
  return yield* Fiber.join(fiber)
})

/** Lets virtual time go by in small steps. */
export const pass = (millis: number) =>
  Effect.gen(function* () {
    for (let gone = 0; gone < millis; gone += 50) yield* TestClock.adjust(50)
  })

/** The value of one series in Prometheus text; `undefined` when it is not there. */
export const valueIn = (text: string, name: string, labels: Readonly<Record<string, string>>): number | undefined => {
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (found === null || found[1] !== name) continue
    const said = Object.fromEntries(
      Array.from((found[2] ?? "").matchAll(/(\w+)="([^"]*)"/g), ([, key, value]) => [key!, value!])
    )
    if (Object.keys(said).length !== Object.keys(labels).length) continue
    if (Object.entries(labels).every(([key, value]) => said[key] === value)) return Number(found[3])
  }
  return undefined
}

/** All metrics by key. */
export const keys = Object.keys(definitions) as Array<Definitions.Key>

// ---------------------------------------------------------------------------------------------------------------------

const ahead = (clock: Clock.Clock, millis: number): Clock.Clock => ({
  ...clock,
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + millis
})
