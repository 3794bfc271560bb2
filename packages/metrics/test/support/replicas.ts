/** A replica set in one process, on virtual time, with the metrics of every replica in a registry of its own. */
import { Clock, Context, type Duration, Effect, Fiber, Layer, Metric, Result } from "effect"
import { TestClock } from "effect/testing"
import type { ReplicaEvents, ReplicaStatus } from "@quorum/core"
import { Entry, QuorumPolicy } from "@quorum/core"
import {
  type PeerTransport,
  Compaction,
  Endings,
  PeerHandler,
  PeerMethods,
  type RecordIndex
} from "@quorum/core/adapter"
import { FaultyReplicaStore, ReplicaSetRig } from "@quorum/testing"
import { type Definitions, Prometheus, ReplicaMetrics } from "../../src/index.ts"
import { definitions, prometheus } from "../../src/Definitions.ts"

export const members = ["a", "b", "c"]

const policy = Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 2, order: "clock" }))

/** How a replica is started. */
export interface Options {
  /** How far its clock is ahead. */
  readonly aheadMillis?: number
  /** What its disk leaves to its store, and is in all. */
  readonly limit?: () => { readonly left: number; readonly of: number }
  /** How long a member may be away before it marks it. */
  readonly awayAfter?: Duration.Input
  /** The index of its records; a new one in memory unless given. */
  readonly index?: RecordIndex.RecordIndex["Service"]
  /** Beside the metrics. */
  readonly also?: Layer.Layer<never, never, ReplicaEvents.ReplicaEvents | ReplicaStatus.ReplicaStatus>
}

/** Makes a replica set whose replicas start one by one, on stores that outlive them. */
export const make = Effect.gen(function* () {
  const rig = yield* ReplicaSetRig.make(members, policy)
  const links = makeLinks()

  const start = Effect.fnUntraced(function* (
    self: string,
    { aheadMillis = 0, also = Layer.empty, awayAfter, index, limit }: Options = {}
  ) {
    const faults = FaultyReplicaStore.faults()
    const registry: Metric.MetricRegistry = new Map()
    const { context, records, stop, writer } = yield* rig.start(self, {
      ...(awayAfter === undefined ? {} : { awayAfter }),
      ...(index === undefined ? {} : { index }),
      beside: Layer.merge(ReplicaMetrics.layer, also),
      on: Layer.merge(
        Layer.succeed(Clock.Clock, ahead(yield* Clock.Clock, aheadMillis)),
        Layer.mergeAll(
          Layer.succeed(Metric.MetricRegistry, registry),
          Layer.succeed(Compaction.CompactionPace, {
            firstMillis: 1000,
            lookMillis: 1000,
            minBytes: 1,
            sliceBytes: 1024
          })
        )
      ),
      store: (store) => {
        const faulty = FaultyReplicaStore.make(store, faults)
        if (limit === undefined) return faulty
        return Object.create(faulty, {
          space: { value: Effect.map(faulty.space, (space) => ({ ...space, limit: limit() })) }
        }) as typeof faulty
      },
      transport: links.decorate(self)
    })
    const text = () => Prometheus.format(context)
    return {
      /** Tells that a connection was ended, as the server of the replica does. */
      ended: yield* Effect.provideContext(Endings.make, context),
      writer,
      records,
      handler: Context.get(context, PeerHandler.PeerHandler),
      faults,
      stop,
      text,
      /** The value of a series in the text that Prometheus reads. */
      value: (key: Definitions.Key, labels: Readonly<Record<string, string>> = {}, suffix = "") =>
        valueIn(text(), `${prometheus(key)}${suffix}`, labels)
    }
  })

  return { ...rig, ...links, start }
})

/** What is wrong with the links of a replica set, by `from>to`. */
const makeLinks = () => {
  /** Directed links that answer nothing. */
  const cut = new Set<string>()
  /** How long requests of a link take, in milliseconds. */
  const slow = new Map<string, number>()
  /** Bytes that are said to wait in the connections to a replica. */
  const waitingBytes = new Map<string, number>()
  /** Decorates the client that `from` uses to reach `to`. */
  const decorations = new Map<string, (client: PeerMethods.PeerClient) => PeerMethods.PeerClient>()
  const decorate =
    (from: string) =>
    (transport: PeerTransport.PeerTransport["Service"]): PeerTransport.PeerTransport["Service"] => ({
      ...transport,
      waitingBytes: (peer) => waitingBytes.get(peer) ?? 0,
      connect: (peer) =>
        Effect.map(transport.connect(peer), (client) => {
          const link = `${from}>${peer}`
          const call = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
            Effect.suspend(() => {
              if (cut.has(link)) return Effect.never
              const millis = slow.get(link)
              return millis === undefined ? effect : Effect.delay(effect, millis)
            })
          return PeerMethods.wrap(decorations.get(link)?.(client) ?? client, call)
        })
    })
  return { cut, slow, waitingBytes, decorations, decorate }
}

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
