/**
 * Effect's own ports for what is to be kept, on the records of a replica set.
 */
export * as KeyValueRecords from "./KeyValueRecords.ts"
