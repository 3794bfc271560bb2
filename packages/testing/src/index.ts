/**
 * Proof that a store or a transport does what Quorum needs of it, and faults for whoever builds on one.
 */
export * as Conformance from "./Conformance.ts"
export * as Faults from "./Faults.ts"
export * as FaultyPeerTransport from "./FaultyPeerTransport.ts"
export * as FaultyReplicaStore from "./FaultyReplicaStore.ts"
export * as Greeting from "./Greeting.ts"
export * as RecordIndexConformance from "./RecordIndexConformance.ts"
export * as ReplicaSetRig from "./ReplicaSetRig.ts"
export * as ReplicaStoreConformance from "./ReplicaStoreConformance.ts"
export * as Simulation from "./Simulation.ts"
export * as StorePlace from "./StorePlace.ts"
export * as TransportConformance from "./TransportConformance.ts"
export * as Wire from "./Wire.ts"
