/**
 * For unstorage.
 */
export { type UnstorageDriver, unstorageDriver } from "./UnstorageDriver.ts"
