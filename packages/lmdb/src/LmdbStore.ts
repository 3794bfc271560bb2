/**
 * Both services of a replica's folder: the durable logs in `log.mdb`, the record index in `index.mdb`.
 */
import type { ReplicaSet } from "@quorum/core"
import type { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Layer } from "effect"
import * as LmdbRecordIndex from "./LmdbRecordIndex.ts"
import * as LmdbReplicaStore from "./LmdbReplicaStore.ts"

/** Opens both, or creates them; both are closed with the scope of the layer, the index first. */
export const layer = (
  options: LmdbReplicaStore.Options
): Layer.Layer<ReplicaStore.ReplicaStore | RecordIndex.RecordIndex, ReplicaStore.StoreError, ReplicaSet.ReplicaSet> =>
  Layer.provideMerge(LmdbRecordIndex.layer(options), LmdbReplicaStore.layer(options))
