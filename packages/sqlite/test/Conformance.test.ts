import { ReplicaSet } from "@quorum/core"
import { ReplicaStoreConformance, StorePlace } from "@quorum/testing"
import { Effect, Layer } from "effect"
import { SqliteStore } from "../src/index.ts"
import { tempFolder } from "./support/store.ts"

const ownedBy = ({ cluster, replica }: StorePlace.Owner) =>
  Layer.succeed(ReplicaSet.ReplicaSet, { cluster, self: replica, peers: [] })

ReplicaStoreConformance.suite(
  "the store on SQLite",
  Layer.effect(
    StorePlace.StorePlace,
    Effect.map(tempFolder, (folder) =>
      StorePlace.StorePlace.of({ open: (owner) => Layer.provide(SqliteStore.layer({ folder }), ownedBy(owner)) })
    )
  )
)
