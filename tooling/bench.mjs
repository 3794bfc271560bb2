// Builds what the benchmarks need, then becomes them: same process, so flags, Ctrl-C and the exit code are their own.
import { chdir } from "node:process"
import { pathToFileURL } from "node:url"
import { join } from "node:path"
import { root, turboRun } from "./turbo.mjs"

const status = await turboRun(["build", "--filter=@quorum/bench", "--output-logs=errors-only"], { quiet: true })
if (status !== 0) process.exit(status)

const flags = process.argv.slice(2)
if (flags[0] === "--") flags.shift()

const main = join(root, "apps/bench/dist/main.js")
process.argv = [process.execPath, main, ...flags]
// Scripts start in the root; paths are meant from where the command was typed.
chdir(process.env.INIT_CWD ?? root)
await import(pathToFileURL(main).href)
