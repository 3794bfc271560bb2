import { ReplicaStoreConformance, StorePlace } from "@quorum/testing"
import { Effect, Layer } from "effect"
import { SqliteStore } from "../src/index.ts"
import { tempFolder } from "./support/store.ts"

ReplicaStoreConformance.suite(
  "the store on SQLite",
  Layer.effect(
    StorePlace.StorePlace,
    Effect.map(tempFolder, (folder) =>
      StorePlace.StorePlace.of({ open: (owner) => SqliteStore.layer({ folder, ...owner }) })
    )
  )
)
