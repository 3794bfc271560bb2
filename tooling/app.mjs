// Builds what a program of `apps` needs, then becomes it: same process, so flags, Ctrl-C and the exit code are its own.
// `node tooling/app.mjs demo main --limit 10` is `apps/demo/dist/main.js --limit 10`.
import { chdir } from "node:process"
import { pathToFileURL } from "node:url"
import { join } from "node:path"
import { root, turboRun } from "./turbo.mjs"

const [app, program, ...flags] = process.argv.slice(2)
// What was built before takes a moment; the first time takes a minute, in which nothing else would be said.
const announced = setTimeout(() => console.error(`Building @quorum/${app} and what it needs …`), 1500)
const status = await turboRun(["build", `--filter=@quorum/${app}`, "--output-logs=errors-only"], { quiet: true })
clearTimeout(announced)
if (status !== 0) process.exit(status)

if (flags[0] === "--") flags.shift()

const main = join(root, "apps", app, "dist", `${program}.js`)
process.argv = [process.execPath, main, ...flags]
// Scripts start in the root; paths are meant from where the command was typed.
chdir(process.env.INIT_CWD ?? root)
await import(pathToFileURL(main).href)
