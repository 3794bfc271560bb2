/**
 * The client for programs of Effect, which they have installed: a service, its layer, and Effect's `KeyValueStore` on it.
 */
export * as ClientKeyValueStore from "./effect/ClientKeyValueStore.ts"
export * as QuorumClient from "./effect/QuorumClient.ts"
