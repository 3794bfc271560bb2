/** The reads of one replica, on a store and an index that the test keeps. */
import { Context, Effect, Layer } from "effect"
import { RecordIndex, ReplicaStore } from "../../src/adapter.ts"
import { ReplicaId, ReplicaSet } from "../../src/index.ts"
import * as ReplicaLogs from "../../src/log/ReplicaLogs.ts"
import * as IndexFollower from "../../src/record/IndexFollower.ts"
import * as LocalRecords from "../../src/record/LocalRecords.ts"

/** An empty store of the replica that reads. */
export const memory = ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })

/** Opens the logs, what keeps the index behind them, and the reads, until the scope closes. */
export const open = Effect.fnUntraced(function* (
  store: ReplicaStore.ReplicaStore["Service"],
  index: RecordIndex.RecordIndex["Service"]
) {
  const context = yield* Layer.build(
    LocalRecords.layer.pipe(
      Layer.provideMerge(IndexFollower.layer),
      Layer.provideMerge(ReplicaLogs.layer),
      Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
      Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, store)),
      Layer.provide(Layer.succeed(RecordIndex.RecordIndex, index))
    )
  )
  return {
    follower: Context.get(context, IndexFollower.IndexFollower),
    records: Context.get(context, LocalRecords.LocalRecords),
    logs: Context.get(context, ReplicaLogs.ReplicaLogs)
  }
})
