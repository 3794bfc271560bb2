import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger } from "effect"
import { Replica, ReplicaId, ReplicaSet, ReplicaStatus } from "../src/index.ts"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "../src/adapter.ts"
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
})
