/**
 * The face of core for whoever writes a store, an index or a transport: the ports, the bytes and the protocol.
 */
export * as Chain from "./log/Chain.ts"
export * as EntryBatch from "./log/EntryBatch.ts"
export * as MemoryNetwork from "./peer/MemoryNetwork.ts"
export * as PeerFrame from "./peer/PeerFrame.ts"
export * as PeerHandler from "./peer/PeerHandler.ts"
export * as PeerMethods from "./peer/PeerMethods.ts"
export * as PeerProtocol from "./peer/PeerProtocol.ts"
export * as PeerTransport from "./peer/PeerTransport.ts"
export * as PeerUrls from "./peer/PeerUrls.ts"
export * as RecordIndex from "./record/RecordIndex.ts"
export * as RecordKey from "./record/RecordKey.ts"
export * as ReplicaServer from "./peer/ReplicaServer.ts"
export * as ReplicaStore from "./log/ReplicaStore.ts"
export * as RunId from "./identity/RunId.ts"
export * as Version from "./log/Version.ts"
export * as Watermark from "./log/Watermark.ts"
