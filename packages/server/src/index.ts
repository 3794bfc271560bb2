/**
 * A replica within a program that uses promises, and what the command `quorum` is made of.
 */
export { openReplica, type ListOptions, type OpenReplica, type ReplicaOptions } from "./OpenReplica.ts"
export * as Doctor from "./Doctor.ts"
export * as Explain from "./Explain.ts"
export * as Server from "./Server.ts"
export * as ServerConfig from "./ServerConfig.ts"
