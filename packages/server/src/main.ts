#!/usr/bin/env node
/**
 * Starts the command `quorum`: on a Node that has what it needs, and with what Node compiles kept for the next time. A third
 * of what a short command takes would be spent on compiling.
 */
import * as module from "node:module"

const needed = [22, 19] as const
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major < needed[0] || (major === needed[0] && minor < needed[1])) {
  process.stderr.write(`quorum needs Node ${needed.join(".")} or newer; this is ${process.versions.node}\n`)
  process.exitCode = 2
} else {
  module.enableCompileCache()
  await import("./quorum.ts")
}
