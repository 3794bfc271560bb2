/**
 * A replica as a program, and for programs: what the command `quorum` is made of.
 */
export * as Explain from "./Explain.ts"
export * as Server from "./Server.ts"
export * as ServerConfig from "./ServerConfig.ts"
