// Runs every package's tests through Turborepo, then prints the sum of their reports, whatever happened.
import { rmSync } from "node:fs"
import { packages, summarize } from "./test-summary.mjs"
import { turboRun } from "./turbo.mjs"

// What a report says must come from this run: turbo restores those it has cached, vitest writes the others.
for (const { report } of packages()) rmSync(report, { force: true })

const status = await turboRun(["test", "--continue=dependencies-successful", ...process.argv.slice(2)])
const summary = summarize({ runFailed: status !== 0 })
console.log(summary.text)
process.exitCode = status !== 0 ? status : summary.ok ? 0 : 1
