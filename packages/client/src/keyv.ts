/**
 * For Keyv.
 */
export { type KeyvStore, keyvStore } from "./KeyvStore.ts"
