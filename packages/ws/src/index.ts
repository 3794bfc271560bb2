/**
 * The peer protocol over one multiplexed WebSocket per peer.
 */
export * as WsPeerServer from "./WsPeerServer.ts"
export * as WsPeerTransport from "./WsPeerTransport.ts"
