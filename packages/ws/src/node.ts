/**
 * The composition for Node; it needs `@effect/platform-node`.
 */
export * as WsNode from "./WsNode.ts"
