/**
 * What only Node knows: the event loop, and the disk.
 */
export * as ProcessMetrics from "./ProcessMetrics.ts"
