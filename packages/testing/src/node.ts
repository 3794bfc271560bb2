/**
 * What needs Node and its machine, and no vitest.
 */
export * as Certificates from "./Certificates.ts"
export * as FileDamage from "./FileDamage.ts"
