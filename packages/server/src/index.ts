/**
 * A replica as a program, and for programs: what the command `quorum` is made of.
 */
export * as Server from "./Server.ts"
export * as ServerConfig from "./ServerConfig.ts"
