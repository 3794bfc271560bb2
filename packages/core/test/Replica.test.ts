import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Logger, Option } from "effect"
import {
  Entry,
  type QuorumError,
  type QuorumPolicy,
  QuorumWriter,
  Records,
  Replica,
  ReplicaId,
  ReplicaSet,
  ReplicaStatus
} from "../src/index.ts"
import { MemoryNetwork, type PeerTransport, RecordIndex, ReplicaStore } from "../src/adapter.ts"
import * as ReplicaLogs from "../src/log/ReplicaLogs.ts"
import * as Peers from "../src/peer/Peers.ts"
import * as Replication from "../src/peer/Replication.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

const members = ["a", "b"]

const replica = (self: string) =>
  MemoryNetwork.layerServer.pipe(
    Layer.provideMerge(Replica.layer({ policy: Cluster.policy(2, 2) })),
    Layer.provide([MemoryNetwork.layerTransport, RecordIndex.layerMemory, ReplicaStore.layerMemory]),
    Layer.provideMerge(ReplicaSet.layer({ cluster: "test", self, members }))
  )

/** What two parts of a program get of a replica, each from its own layer of one, on one store. */
const both = (orders: ReturnType<typeof Replica.layer>, stock: ReturnType<typeof Replica.layer>) => {
  interface Part {
    readonly log: string
    readonly writer: QuorumWriter.QuorumWriter["Service"]
    readonly records: Records.Records["Service"]
  }
  class Orders extends Context.Service<Orders, Part>()("test/Orders") {}
  class Stock extends Context.Service<Stock, Part>()("test/Stock") {}
  const part = Effect.gen(function* () {
    const status = yield* ReplicaStatus.ReplicaStatus
    return { log: status.current().log, writer: yield* QuorumWriter.QuorumWriter, records: yield* Records.Records }
  })
  const program = Layer.merge(
    Layer.effect(Orders, part).pipe(Layer.provide(orders)),
    Layer.effect(Stock, part).pipe(Layer.provide(stock))
  ).pipe(
    Layer.provide([MemoryNetwork.layerAlone, RecordIndex.layerMemory, ReplicaStore.layerMemory]),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] }))
  )
  return Effect.map(Layer.build(program), (context) => ({
    orders: Context.get(context, Orders),
    stock: Context.get(context, Stock)
  }))
}

describe("Replica", () => {
  it.effect("two replicas that one program builds share nothing but the network", () =>
    Effect.gen(function* () {
      const a = (yield* ReplicaStatus.ReplicaStatus).current()
      const network = yield* MemoryNetwork.MemoryNetwork
      const b = Context.get(yield* Layer.build(replica("b")), ReplicaStatus.ReplicaStatus).current()
      assert.match(a.log, /^a@/)
      assert.match(b.log, /^b@/)
      for (const id of members) yield* network.connect(ReplicaId.make(id))
    }).pipe(Effect.provide(replica("a")), Effect.scoped, Effect.provide([MemoryNetwork.layer, Logger.layer([])]))
  )

  it.effect("one layer is one replica, however many parts of a program it is provided to", () =>
    Effect.gen(function* () {
      const layer = Replica.layer({ policy: Cluster.policy(1, 1) })
      const { orders, stock } = yield* both(layer, layer)
      assert.strictEqual(orders.log, stock.log)
      yield* during(orders.writer.commit(Entry.put("n", "k", "v")), 100)
      yield* during(stock.writer.commit(Entry.put("n", "l", "v")), 100)
      for (const { records } of [orders, stock]) {
        for (const key of ["k", "l"]) assert.isTrue(Option.isSome(yield* records.read("n", key)), key)
      }
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
  )

  it.effect("two replicas on one store are refused, and one after the other are not", () =>
    Effect.gen(function* () {
      const make = () => Replica.layer({ policy: Cluster.policy(1, 1) })
      const error = yield* Effect.flip(both(make(), make()))
      assert(error._tag === "StoreError")
      assert.strictEqual(error.reason, "locked")
      assert.match(error.message, /call Replica.layer once, and provide that one layer to all who use it/)
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
      const alone = make().pipe(
        Layer.provide([
          MemoryNetwork.layerAlone,
          RecordIndex.layerMemory,
          Layer.succeed(ReplicaStore.ReplicaStore, store)
        ]),
        Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] }))
      )
      for (const _ of [1, 2]) yield* Effect.scoped(Layer.build(alone))
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
  )

  it.effect("L1 without a policy writes go by a majority of the replica set", () =>
    Effect.gen(function* () {
      const four = ["a", "b", "c", "d"]
      const layer = Replica.layer().pipe(
        Layer.provide([MemoryNetwork.layerTransport, RecordIndex.layerMemory, ReplicaStore.layerMemory]),
        Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: four }))
      )
      const { policy } = Context.get(yield* Layer.build(layer), ReplicaStatus.ReplicaStatus).current()
      assert.deepStrictEqual([policy.n, policy.w], [4, 3])
    }).pipe(Effect.scoped, Effect.provide([MemoryNetwork.layer, Logger.layer([])]))
  )

  const build = (options: Replica.Options) =>
    Layer.build(
      Replica.layer(options).pipe(
        Layer.provide([MemoryNetwork.layerTransport, RecordIndex.layerMemory, ReplicaStore.layerMemory]),
        Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members }))
      )
    ).pipe(Effect.scoped, Effect.provide([MemoryNetwork.layer, Logger.layer([])]))

  it.effect("an option that cannot be used is refused by its name, before anything is opened", () =>
    Effect.gen(function* () {
      const bad: Record<string, ReadonlyArray<unknown>> = {
        clockSkewWarn: [-1, 0, Number.NaN, "soon"],
        clockBound: ["0 seconds", "-1 second"],
        scrubEvery: [0, "-1 day", null],
        awayAfter: [0, "-7 days", Number.NaN],
        awayBytes: [0, -1, Number.NaN, "1 GiB"],
        compactionShare: [-0.1, 1.1, Number.NaN, "0.5"],
        reserveBytes: [-1, 0.5, Number.NaN, Infinity, "64 MiB"],
        reads: [{ n: "linearisable" }, { n: undefined }, "quorum", null],
        namespaces: [5, "n"]
      }
      for (const [option, values] of Object.entries(bad)) {
        for (const value of values) {
          const error = yield* Effect.flip(build({ [option]: value }))
          assert.deepInclude(error, { _tag: "InvalidOptions", option }, String(value))
          assert.match(error.message, new RegExp(`^${option}: .* is not (a|namespaces)`))
        }
      }
      const given: Record<string, string> = { scrubevery: "1 hour" }
      const misspelt = yield* Effect.flip(build(given))
      assert.deepInclude(misspelt, { _tag: "InvalidOptions", option: "scrubevery" })
      assert.match(misspelt.message, /^scrubevery: it is not known here; known are .*scrubEvery/)
      yield* build({ awayAfter: "Infinity", awayBytes: Infinity, compactionShare: 0, reserveBytes: 0, clockBound: 5 })
    })
  )

  it.effect("L4 a policy that was written by hand is checked as one that is made", () =>
    Effect.gen(function* () {
      const good = Cluster.policy(2, 2)
      const bad: Record<string, ReadonlyArray<QuorumPolicy.QuorumPolicy>> = {
        w: [3, 0, 1.5, Number.NaN].map((w) => ({ ...good, w })),
        ackTimeout: [Duration.infinity, Duration.zero, "2 seconds" as never].map((ackTimeout) => ({
          ...good,
          ackTimeout
        })),
        order: [{ ...good, order: "none" as never }],
        unavailable: [{ ...good, unavailable: undefined as never }]
      }
      for (const [field, policies] of Object.entries(bad)) {
        for (const policy of policies) {
          for (const options of [{ policy }, { namespaces: { notes: policy } }]) {
            const error = yield* Effect.flip(build(options))
            assert.strictEqual(error._tag, "InvalidPolicy")
            assert.include(error.message, field)
          }
        }
      }
      yield* build({ policy: { ...good, ackTimeout: Duration.seconds(5), order: "clock" } })
    })
  )

  it.effect("NoPhantomAck: what could report an ack is not to be had from outside", () =>
    Effect.gen(function* () {
      const layer = Replica.layer({ policy: Cluster.policy(2, 2) }).pipe(
        Layer.provide([MemoryNetwork.layerTransport, RecordIndex.layerMemory, ReplicaStore.layerMemory]),
        Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members }))
      )
      // Typed: these services and no others. An assignment that compiled with more of them would be a wrong type.
      const context: Context.Context<Replica.Services> = yield* Layer.build(layer)
      for (const inside of [Peers.Peers, ReplicaLogs.ReplicaLogs, Replication.Replication]) {
        // @ts-expect-error what a replica is made of is none of its services
        const outside: Context.Key<Replica.Services, unknown> = inside
        assert.isTrue(Option.isNone(Context.getOption(context, outside)))
      }
      assert.isTrue(Option.isSome(Context.getOption(context, ReplicaStatus.ReplicaStatus)))
      const names = [...context.mapUnsafe.keys()].flatMap((key) => key.match(/(?<=^@quorum\/core\/)\w+/) ?? [])
      assert.deepStrictEqual(names.sort(), [
        "Backup",
        "ClientSessions",
        "EventSink",
        "PeerHandler",
        "QuorumWriter",
        "Records",
        "ReplicaEvents",
        "ReplicaStatus"
      ])
    }).pipe(Effect.scoped, Effect.provide([MemoryNetwork.layer, Logger.layer([])]))
  )

  it("says in its types what it gives, what it needs, and why it may not be built", () => {
    type Needs = ReplicaSet.ReplicaSet | ReplicaStore.ReplicaStore | RecordIndex.RecordIndex
    type Fails = Replica.InvalidOptions | QuorumError.InvalidPolicy | ReplicaStore.StoreError
    const layer = Replica.layer()
    expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Replica.Services, Fails, Needs | PeerTransport.PeerTransport>>()
    const served = layer.pipe(MemoryNetwork.serve)
    expectTypeOf(served).toEqualTypeOf<Layer.Layer<Replica.Services, Fails, Needs | MemoryNetwork.MemoryNetwork>>()
    const whole = served.pipe(
      Layer.provide([MemoryNetwork.layer, RecordIndex.layerMemory, ReplicaStore.layerMemory]),
      Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members }))
    )
    expectTypeOf(whole).toEqualTypeOf<Layer.Layer<Replica.Services, Fails | ReplicaSet.InvalidReplicaSet>>()
  })
})
