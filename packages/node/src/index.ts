/**
 * A replica's port on Node, and what peers prove to each other there: mutual TLS, and the codes of a shared secret.
 */
export * as NodeCodes from "./NodeCodes.ts"
export * as PeerTls from "./PeerTls.ts"
export * as ReplicaPort from "./ReplicaPort.ts"
