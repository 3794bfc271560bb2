import { ReplicaSet } from "@quorum/core"
import { RecordIndexConformance, ReplicaStoreConformance, StorePlace } from "@quorum/testing"
import { Effect, Layer } from "effect"
import { SqliteStore } from "../src/index.ts"
import { damageEntry, damageIndex, tempFolder } from "./support/store.ts"

const ownedBy = ({ cluster, replica }: StorePlace.Owner) =>
  Layer.succeed(ReplicaSet.ReplicaSet, { cluster, self: replica, peers: [] })

const place = Layer.effect(
  StorePlace.StorePlace,
  Effect.map(tempFolder, (folder) =>
    StorePlace.StorePlace.of({
      open: (owner) => Layer.provide(SqliteStore.layer({ folder }), ownedBy(owner)),
      damage: (log, seq) => Effect.sync(() => damageEntry(folder, log, seq)),
      damageIndex: Effect.sync(() => damageIndex(folder))
    })
  )
)

ReplicaStoreConformance.suite("the store on SQLite", place)
RecordIndexConformance.suite("the index on SQLite", place)
