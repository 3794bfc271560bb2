/**
 * Quorum over HTTP: the peer protocol between replicas, and an API for clients.
 */
export * as ClientApi from "./ClientApi.ts"
export * as ClientApiClient from "./ClientApiClient.ts"
export * as ClientApiErrors from "./ClientApiErrors.ts"
export * as ClientApiServer from "./ClientApiServer.ts"
export * as HttpPeerServer from "./HttpPeerServer.ts"
export * as HttpPeerTransport from "./HttpPeerTransport.ts"
export * as HttpReplicaServer from "./HttpReplicaServer.ts"
export * as PeerMessage from "./PeerMessage.ts"
