/**
 * Both services of a replica's folder: the durable logs in `log.db`, the record index in `index.db`.
 */
import type { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import type { ReplicaSet } from "@quorum/core"
import { Layer } from "effect"
import * as SqliteRecordIndex from "./SqliteRecordIndex.ts"
import * as SqliteReplicaStore from "./SqliteReplicaStore.ts"

/** Opens both, or creates them; both are closed with the scope of the layer, the index first. */
export const layer = (
  options: SqliteReplicaStore.Options
): Layer.Layer<ReplicaStore.ReplicaStore | RecordIndex.RecordIndex, ReplicaStore.StoreError, ReplicaSet.ReplicaSet> =>
  Layer.provideMerge(SqliteRecordIndex.layer(options), SqliteReplicaStore.layer(options))
