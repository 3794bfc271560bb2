/**
 * Quorum over HTTP: the peer protocol between replicas, and an API for clients.
 */
export * as ClientApi from "./api/ClientApi.ts"
export * as ClientApiClient from "./api/ClientApiClient.ts"
export * as ClientApiErrors from "./api/ClientApiErrors.ts"
export * as ClientApiServer from "./api/ClientApiServer.ts"
export * as ClientRate from "./api/ClientRate.ts"
export * as ClientTokens from "./api/ClientTokens.ts"
export * as HttpPeerServer from "./peer/HttpPeerServer.ts"
export * as HttpPeerTransport from "./peer/HttpPeerTransport.ts"
export * as HttpReplicaServer from "./HttpReplicaServer.ts"
export * as PeerMessage from "./peer/PeerMessage.ts"
