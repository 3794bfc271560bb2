// Runs every package's tests through Turborepo, then prints the sum of their reports, whatever happened.
import { rmSync } from "node:fs"
import { join } from "node:path"
import { packages, summarize } from "./test-summary.mjs"
import { root, turboRun } from "./turbo.mjs"

// What a report says must come from this run: turbo restores those it has cached, vitest writes the others.
for (const { report } of packages()) rmSync(report, { force: true })

// Hundreds of processes are started, each of the same thousand files: what is compiled of them is kept for the next.
process.env["NODE_COMPILE_CACHE"] ??= join(root, "node_modules/.cache/compiled")

const status = await turboRun(["test", "--continue=dependencies-successful", ...process.argv.slice(2)])
const summary = summarize({ runFailed: status !== 0 })
console.log(summary.text)
process.exitCode = status !== 0 ? status : summary.ok ? 0 : 1
