/**
 * Mutual TLS for the transports of Quorum on Node.
 */
export * as PeerTls from "./PeerTls.ts"
