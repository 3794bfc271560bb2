/**
 * What the commands are made of, for other commands: lines of a file, progress on a terminal, ports, folders and numbers.
 */
export * as Folder from "./Folder.ts"
export * as Lines from "./Lines.ts"
export * as Ports from "./Ports.ts"
export * as Progress from "./Progress.ts"
export * as Text from "./Text.ts"
export * as Whole from "./Whole.ts"
