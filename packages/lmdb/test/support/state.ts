/** Opens a store and prints how far it holds its logs. Started by the tests. */
import { ReplicaSet } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect } from "effect"
import * as fs from "node:fs"
import { LmdbStore } from "../../src/index.ts"

await Effect.gen(function* () {
  const store = yield* ReplicaStore.ReplicaStore
  for (const { seq } of yield* store.watermarks) fs.writeSync(1, `held ${seq}\n`)
}).pipe(
  Effect.provide(LmdbStore.layer({ folder: process.argv[2]! })),
  Effect.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
  Effect.runPromise
)
