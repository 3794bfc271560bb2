/** Where a store is. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaId, ReplicaSet } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import { LmdbRecordIndex, LmdbReplicaStore, LmdbStore } from "../src/index.ts"

describe("LmdbStore", () => {
  it.effect("refuses by its name a folder that is none: it would be the current one", () =>
    Effect.gen(function* () {
      const before = fs.readdirSync(".")
      const members = Layer.succeed(ReplicaSet.ReplicaSet, { cluster: "test", self: ReplicaId.make("a"), peers: [] })
      for (const folder of ["", undefined as never]) {
        const index = Layer.provide(LmdbRecordIndex.layer({ folder }), ReplicaStore.layerMemory)
        const layers: ReadonlyArray<Layer.Layer<never, ReplicaStore.StoreError, ReplicaSet.ReplicaSet>> = [
          LmdbStore.layer({ folder }),
          LmdbReplicaStore.layer({ folder }),
          index
        ]
        for (const layer of layers) {
          const error = yield* Effect.flip(Effect.scoped(Layer.build(Layer.provide(layer, members))))
          assert.match(error.message, /^store unavailable: folder: it is a path, and not empty/)
        }
      }
      assert.deepStrictEqual(fs.readdirSync("."), before)
    })
  )
})
