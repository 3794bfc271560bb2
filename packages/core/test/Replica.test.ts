import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Option } from "effect"
import { Replica, ReplicaId, ReplicaSet, ReplicaStatus } from "../src/index.ts"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "../src/adapter.ts"
import * as ReplicaLogs from "../src/log/ReplicaLogs.ts"
import * as Peers from "../src/peer/Peers.ts"
import * as Replication from "../src/peer/Replication.ts"
import * as Cluster from "./support/cluster.ts"

const members = ["a", "b"]

const replica = (self: string) =>
  MemoryNetwork.layerServer.pipe(
    Layer.provideMerge(Replica.layer({ policy: Cluster.policy(2, 2) })),
    Layer.provide([MemoryNetwork.layerTransport, RecordIndex.layerMemory, ReplicaStore.layerMemory]),
    Layer.provideMerge(ReplicaSet.layer({ cluster: "test", self, members }))
  )

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

  it.effect("NoPhantomAck: what could report an ack is not to be had from outside", () =>
    Effect.gen(function* () {
      const layer = Replica.layer({ policy: Cluster.policy(2, 2) }).pipe(
        Layer.provide([MemoryNetwork.layerTransport, RecordIndex.layerMemory, ReplicaStore.layerMemory]),
        Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members }))
      )
      // Typed: these five and no others. An assignment that compiled with more of them would be a wrong type.
      const context: Context.Context<Replica.Services> = yield* Layer.build(layer)
      for (const inside of [Peers.Peers, ReplicaLogs.ReplicaLogs, Replication.Replication]) {
        // @ts-expect-error what a replica is made of is none of its services
        const outside: Context.Key<Replica.Services, unknown> = inside
        assert.isTrue(Option.isNone(Context.getOption(context, outside)))
      }
      assert.isTrue(Option.isSome(Context.getOption(context, ReplicaStatus.ReplicaStatus)))
    }).pipe(Effect.scoped, Effect.provide([MemoryNetwork.layer, Logger.layer([])]))
  )
})
