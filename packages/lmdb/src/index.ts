/**
 * The durable store of a replica on LMDB.
 */
export * as LmdbInspection from "./LmdbInspection.ts"
export * as LmdbRecordIndex from "./LmdbRecordIndex.ts"
export * as LmdbReplicaStore from "./LmdbReplicaStore.ts"
export * as LmdbStore from "./LmdbStore.ts"
