// Sums the packages' JSON test reports. The last line reads "N passed, N failed" (and ", N skipped" if there are any);
// it says "0 failed" only if nothing at all went wrong.
import { existsSync, globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Every package of the workspace that has tests, and where its report belongs. */
export const packages = () =>
  globSync("{packages,apps}/*/package.json", { cwd: root })
    .map((manifest) => join(root, manifest, ".."))
    .filter((folder) => globSync("test/**/*.test.ts", { cwd: folder }).length > 0)
    .map((folder) => ({
      name: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).name,
      report: join(folder, ".vitest/report.json")
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))

const read = (report) => {
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0, note: "no report: its tests did not run" }
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, success, testResults } = JSON.parse(
    readFileSync(report, "utf8")
  )
  // A file that cannot be loaded has failed without having a test that failed.
  const brokenFiles = testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed")
  ).length
  const failed = numFailedTests + brokenFiles
  const skipped = numPendingTests + numTodoTests
  if (!success && failed === 0)
    return { passed: numPassedTests, failed: 1, skipped, note: "an error outside the tests" }
  if (brokenFiles > 0) return { passed: numPassedTests, failed, skipped, note: `${brokenFiles} file(s) did not load` }
  return { passed: numPassedTests, failed, skipped }
}

const line = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`

export const summarize = ({ runFailed = false } = {}) => {
  const rows = packages().map(({ name, report }) => ({ name, ...read(report) }))
  const width = Math.max(0, ...rows.map(({ name }) => name.length))
  const lines = rows.map((row) => `${row.name.padEnd(width)}  ${line(row)}${row.note ? `  (${row.note})` : ""}`)

  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const row of rows) for (const key of Object.keys(total)) total[key] += row[key]
  if (total.failed === 0 && runFailed) {
    total.failed = 1
    lines.push("The run itself failed: see above.")
  }
  if (total.failed === 0 && total.passed === 0) {
    total.failed = 1
    lines.push("Not one test ran.")
  }
  return { ok: total.failed === 0, text: ["", ...lines, line(total)].join("\n") }
}

if (import.meta.main) {
  const { ok, text } = summarize()
  console.log(text)
  process.exitCode = ok ? 0 : 1
}
