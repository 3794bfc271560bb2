/**
 * Quorum writes: a write is committed when W of N replicas hold it durably.
 *
 * This is the face for applications. Whoever writes a store or a transport finds the ports, the bytes and the protocol
 * in `@quorum/core/adapter`.
 */
export * as Changes from "./read/Changes.ts"
export * as Backup from "./log/Backup.ts"
export * as ClientSession from "./read/ClientSession.ts"
export * as ClientSessions from "./read/ClientSessions.ts"
export * as Entry from "./log/Entry.ts"
export * as HybridLogicalClock from "./log/HybridLogicalClock.ts"
export * as Limits from "./log/Limits.ts"
export * as LogId from "./identity/LogId.ts"
export * as QuorumError from "./quorum/QuorumError.ts"
export * as QuorumPolicy from "./quorum/QuorumPolicy.ts"
export * as QuorumWriter from "./write/QuorumWriter.ts"
export * as Receipt from "./write/Receipt.ts"
export * as Records from "./read/Records.ts"
export * as Replica from "./Replica.ts"
export * as ReplicaEvents from "./events/ReplicaEvents.ts"
export * as ReplicaId from "./identity/ReplicaId.ts"
export * as ReplicaSet from "./identity/ReplicaSet.ts"
export * as ReplicaStatus from "./ReplicaStatus.ts"
export * as StampToken from "./write/StampToken.ts"
export * as WriteId from "./identity/WriteId.ts"
