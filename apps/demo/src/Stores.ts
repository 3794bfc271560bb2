/**
 * The stores that a replica of the demo can keep what it holds on.
 */
import type { ReplicaSet } from "@quorum/core"
import type { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { LmdbStore } from "@quorum/lmdb"
import { SqliteStore } from "@quorum/sqlite"
import type { Layer } from "effect"
import type { Store } from "./ReplicaConfig.ts"

/** The store in a folder. Between the stores one line differs. */
export const layerOf = (
  store: Store,
  folder: string
): Layer.Layer<ReplicaStore.ReplicaStore | RecordIndex.RecordIndex, ReplicaStore.StoreError, ReplicaSet.ReplicaSet> =>
  store === "lmdb" ? LmdbStore.layer({ folder }) : SqliteStore.layer({ folder })

/** The files in which they keep their logs. */
export const logFiles = ["log.db", "log.mdb"]
