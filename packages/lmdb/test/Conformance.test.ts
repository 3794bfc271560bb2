import { ReplicaSet } from "@quorum/core"
import { RecordIndexConformance, ReplicaStoreConformance, StorePlace } from "@quorum/testing"
import { Effect, Layer } from "effect"
import { LmdbStore } from "../src/index.ts"
import { damageEntry, tempFolder } from "./support/store.ts"

const ownedBy = ({ cluster, replica }: StorePlace.Owner) =>
  Layer.succeed(ReplicaSet.ReplicaSet, { cluster, self: replica, peers: [] })

const place = Layer.effect(
  StorePlace.StorePlace,
  Effect.map(tempFolder, (folder) =>
    StorePlace.StorePlace.of({
      open: (owner) => Layer.provide(LmdbStore.layer({ folder }), ownedBy(owner)),
      damage: (log, seq) => Effect.promise(() => damageEntry(folder, log, seq))
    })
  )
)

ReplicaStoreConformance.suite("the store on LMDB", place)
RecordIndexConformance.suite("the index on LMDB", place, {
  skip: RecordIndexConformance.needDamage.map((name) => ({
    case: name,
    reason: "LMDB ends the process where a page is damaged"
  }))
})
