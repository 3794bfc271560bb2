// Sums the packages' JSON test reports. The last line reads "N passed, N failed" (and ", N skipped" if there are any);
// it says "0 failed" only if nothing at all went wrong.
import { existsSync, globSync, readFileSync } from "node:fs"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { stripVTControlCharacters } from "node:util"

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

/**
 * Of the message of a failure, so much as says what went wrong where: a diff may be long, and libraries are deep. What was
 * thrown and is no error has none.
 */
const shown = (message) =>
  stripVTControlCharacters(message ?? "what was thrown is no error; the output of the package says it")
    .split("\n")
    .filter((text) => !/^\s+at .*(node_modules|node:|<anonymous>)/.test(text))
    .slice(0, 10)
    .map((text) => `    ${text.slice(0, 300)}`)

/** Each test of a report that failed and each file that could not be loaded, with the beginning of why. */
export const failures = (testResults) =>
  testResults.flatMap((file) => {
    const where = relative(root, file.name)
    const tests = file.assertionResults.filter((test) => test.status === "failed")
    if (tests.length === 0)
      return file.status === "failed" ? [`FAILED ${where}: it did not load`, ...shown(file.message ?? "")] : []
    return tests.flatMap((test) => [`FAILED ${where}: ${test.fullName}`, ...test.failureMessages.flatMap(shown)])
  })

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
  const why = failures(testResults)
  const skipped = numPendingTests + numTodoTests
  if (!success && failed === 0)
    return { passed: numPassedTests, failed: 1, skipped, note: "an error outside the tests" }
  if (brokenFiles > 0)
    return { passed: numPassedTests, failed, skipped, why, note: `${brokenFiles} file(s) did not load` }
  return { passed: numPassedTests, failed, skipped, why }
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
  // What failed scrolled by long ago: it is told once more, in front of the sums.
  const why = rows.flatMap((row) => row.why ?? [])
  return {
    ok: total.failed === 0,
    text: ["", ...why, ...(why.length > 0 ? [""] : []), ...lines, line(total)].join("\n")
  }
}

if (import.meta.main) {
  const { ok, text } = summarize()
  console.log(text)
  process.exitCode = ok ? 0 : 1
}
