/**
 * What peers prove to each other on Node: mutual TLS, and the codes of a shared secret.
 */
export * as NodeCodes from "./NodeCodes.ts"
export * as PeerTls from "./PeerTls.ts"
