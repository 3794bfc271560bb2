#!/usr/bin/env node
/**
 * Starts the command `quorum`: on a Node that has what it needs, and with what Node compiles kept for the next time. A third
 * of what a short command takes would be spent on compiling.
 */
import * as module from "node:module"
import * as Arguments from "./tools/Arguments.ts"

const needed = [22, 19] as const
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
const args = process.argv.slice(2)
const wrong = Arguments.notUtf8(args)
if (major < needed[0] || (major === needed[0] && minor < needed[1])) {
  process.stderr.write(`quorum needs Node ${needed.join(".")} or newer; this is ${process.versions.node}\n`)
  process.exitCode = 2
} else if (wrong !== undefined) {
  const isJson = args.includes("--json")
  process.stderr.write(`${isJson ? JSON.stringify({ error: "invalid_usage", message: wrong }) : wrong}\n`)
  process.exitCode = 2
} else {
  module.enableCompileCache()
  await import("./quorum.ts")
}
