/**
 * The composition for Node; it needs `@effect/platform-node`.
 */
export * as HttpNode from "./HttpNode.ts"
