/**
 * A durable replica store on `node:sqlite`.
 */
export * as SqliteInspection from "./SqliteInspection.ts"
export * as SqliteRecordIndex from "./SqliteRecordIndex.ts"
export * as SqliteReplicaStore from "./SqliteReplicaStore.ts"
export * as SqliteStore from "./SqliteStore.ts"
