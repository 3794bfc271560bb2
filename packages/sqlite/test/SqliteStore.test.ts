/** The store and the index of one folder. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaSet } from "@quorum/core"
import { EntryBatch, RecordIndex, ReplicaStore, RunId } from "@quorum/core/adapter"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import { SqliteRecordIndex, SqliteReplicaStore, SqliteStore } from "../src/index.ts"
import { a, firstBatch, logA, tempFolder } from "./support/store.ts"

const pointer: RecordIndex.Pointer = {
  namespace: "ns",
  key: "x",
  log: logA,
  seq: 1,
  clock: { wallTime: 1, logical: 0 },
  tie: RunId.none,
  deleted: false
}

describe("SqliteStore", () => {
  it.effect("refuses by its name a folder that is none: it would be the current one", () =>
    Effect.gen(function* () {
      const before = fs.readdirSync(".")
      const members = Layer.succeed(ReplicaSet.ReplicaSet, { cluster: "test", self: a, peers: [] })
      for (const folder of ["", undefined as never]) {
        const index = Layer.provide(SqliteRecordIndex.layer({ folder }), ReplicaStore.layerMemory)
        const layers: ReadonlyArray<Layer.Layer<never, ReplicaStore.StoreError, ReplicaSet.ReplicaSet>> = [
          SqliteStore.layer({ folder }),
          SqliteReplicaStore.layer({ folder }),
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

  it.effect("gives both services from one folder, and closes both with the scope", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const layer = Layer.provide(
        SqliteStore.layer({ folder }),
        Layer.succeed(ReplicaSet.ReplicaSet, { cluster: "test", self: a, peers: [] })
      )
      const batch = firstBatch(logA, ["1"])
      yield* Effect.gen(function* () {
        const store = yield* ReplicaStore.ReplicaStore
        const index = yield* RecordIndex.RecordIndex
        yield* store.append(batch)
        yield* index.merge([pointer], new Map([[logA, 1]]))
      }).pipe(Effect.provide(layer))
      assert.deepStrictEqual(fs.readdirSync(folder).sort(), ["index.db", "log.db", "log.db-wal"])
      yield* Effect.gen(function* () {
        const store = yield* ReplicaStore.ReplicaStore
        const index = yield* RecordIndex.RecordIndex
        assert.deepStrictEqual(yield* store.watermarks, [EntryBatch.watermark(batch)])
        assert.deepStrictEqual(yield* index.scan({ limit: 10 }), [pointer])
      }).pipe(Effect.provide(layer))
    })
  )
})
