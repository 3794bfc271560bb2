// Plants known bugs in a copy of core, one at a time, and lets the simulator look for them, and tests where those are known
// to find one: `mutants [--only NAME] [--seconds T] [--jobs N] [--write]`. Fails when one survives. --write puts the table
// into docs/simulation.md.
import { spawn } from "node:child_process"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { commitNow } from "./commit.mjs"
import { bugs } from "./mutants-list.mjs"
import * as Options from "./options.mjs"
import { root } from "./turbo.mjs"

const help = `
npx -y pnpm@12 mutants --only NAME

Plants known bugs in a copy of core, one at a time, and lets the simulator look for them, and a test where one is known to
find it. Ends with 1 when one survives. See docs/simulation.md.

  --only NAME  this one; may come again. All unless given
  --seconds T  how long each is looked for; 60 unless given
  --jobs N     so many at a time; one unless given
  --plan       only whether each can be planted
  --write      puts the table into docs/simulation.md
`

/** Changes the one place in a text where a bug goes; throws when there is no such place, or more than one. */
export const plant = (text, { file, find, name, replace }) => {
  const count = text.split(find).length - 1
  if (count !== 1) throw new Error(`${name}: ${file} has ${count} places like this one:\n${find}`)
  return text.replace(find, () => replace)
}

/** A copy of core and of the simulator, as sources that Node runs as they are. */
const copy = (bug) => {
  const folder = mkdtempSync(join(tmpdir(), "quorum-mutant-"))
  for (const name of ["core", "testing"]) {
    const from = join(root, "packages", name)
    cpSync(join(from, "src"), join(folder, "packages", name, "src"), { recursive: true })
    const { exports, ...manifest } = JSON.parse(readFileSync(join(from, "package.json"), "utf8"))
    const sources = Object.entries(exports).map(([entry, target]) => [
      entry,
      target.default?.replace("./dist/", "./src/").replace(/\.js$/, ".ts") ?? target
    ])
    const text = JSON.stringify({ ...manifest, exports: Object.fromEntries(sources) })
    writeFileSync(join(folder, "packages", name, "package.json"), text)
  }
  mkdirSync(join(folder, "node_modules/@quorum"), { recursive: true })
  symlinkSync(join(folder, "packages/core"), join(folder, "node_modules/@quorum/core"))
  symlinkSync(realpathSync(join(root, "packages/core/node_modules/effect")), join(folder, "node_modules/effect"))
  for (const change of bug === undefined ? [] : (bug.changes ?? [bug])) {
    const file = join(folder, "packages/core/src", change.file)
    writeFileSync(file, plant(readFileSync(file, "utf8"), { name: bug.name, ...change }))
  }
  return folder
}

/** Lets the simulator look for a bug, and then the tests that are known to find it. What was found, or nothing. */
const look = async (bug, seconds) => {
  const folder = copy(bug)
  try {
    const found = await simulated(folder, bug, seconds)
    if (found.law !== undefined || bug?.tests === undefined) return found
    return { ...found, ...(await tested(folder, bug.tests)) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs seeds of a copy until a promise is broken, or for so long. */
const simulated = async (folder, bug, seconds) => {
  const worker = join(root, "tooling/mutants-run.mjs")
  const { compacts = false, everyMillis = 0, first = [], kinds = [], replicas = 3 } = bug ?? {}
  const wanted = JSON.stringify({ compacts, everyMillis, first, kinds, replicas })
  const args = ["--disable-warning=ExperimentalWarning", worker, folder, String(seconds), wanted]
  const { code, errors, output } = await ended(spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] }))
  if (code === 0) return JSON.parse(output)
  return { law: "does not run", detail: errors.slice(0, 600), seed: 0, runs: 0, seconds: 0, isBroken: true }
}

/** Runs a file of core's tests on a copy. Which of them fail, or nothing. */
const tested = async (folder, file) => {
  const [from, to] = [root, folder].map((each) => join(each, "packages/core"))
  for (const name of ["test", "vitest.config.ts"]) cpSync(join(from, name), join(to, name), { recursive: true })
  symlinkSync(join(from, "node_modules"), join(to, "node_modules"))
  const vitest = join(from, "node_modules/vitest/vitest.mjs")
  const args = [vitest, "run", `test/${file}`]
  const { errors } = await ended(spawn(process.execPath, args, { cwd: to, stdio: ["ignore", "pipe", "pipe"] }))
  const report = join(to, ".vitest/report.json")
  if (!existsSync(report)) return { law: "does not run", detail: errors.slice(0, 600), isBroken: true }
  const { numTotalTests, testResults } = JSON.parse(readFileSync(report, "utf8"))
  if (numTotalTests === 0) return { law: "does not run", detail: testResults[0]?.message ?? errors, isBroken: true }
  const failed = testResults.flatMap((result) => result.assertionResults.filter(({ status }) => status === "failed"))
  return failed.length === 0 ? {} : { law: file, test: failed[0].title }
}

/** What a process said until its end, and how it ended. */
const ended = (child) =>
  new Promise((resolve, reject) => {
    const output = []
    const errors = []
    child.stdout.on("data", (chunk) => output.push(chunk))
    child.stderr.on("data", (chunk) => errors.push(chunk))
    child.on("error", reject)
    child.on("close", (code) =>
      resolve({ code, output: Buffer.concat(output).toString(), errors: Buffer.concat(errors).toString() })
    )
  })

const rowOf = ({ bug, found }) =>
  `| ${bug.name} | ${bug.from} | ${bug.says} | ${foundBy(found)} | ${found.seconds.toFixed(0)} s |`

/** Two cells: what found it, and where. */
const foundBy = ({ law, replicas, runs, seed, test }) => {
  if (law === undefined) return `**survived** ${runs} runs |`
  return test === undefined ? `${law} | ${seed} (${replicas})` : `${law}: ${test} | none of ${runs} runs`
}

/** A row with a cell for each column, as one that was written before there was a time. */
const widened = (row) => (row?.split("|").length === 7 ? `${row} |` : row)

const begin = "<!-- mutants: written by `npx -y pnpm@12 mutants --write` -->"
const end = "<!-- end of mutants -->"

/** What the last run of all of them is told by. */
const lastWhole = "The last run of all was on "

/**
 * Puts what was found into the table; the rows of bugs that were not looked for now stay, and so does what is said of the
 * last run of all unless this was one.
 */
export const written = (text, results, whole) => {
  const lines = text.split("\n")
  const rowBefore = ({ name }) => widened(lines.find((line) => line.startsWith(`| ${name} | `)))
  const rowNow = (bug) => results.find((result) => result.bug === bug)
  const table = [
    "| bug | from | what is wrong | found by | at seed (replicas) | after |",
    "| --- | --- | --- | --- | --- | --- |",
    ...bugs.map((bug) => (rowNow(bug) === undefined ? rowBefore(bug) : rowOf(rowNow(bug)))).filter(Boolean)
  ].join("\n")
  const told = whole === undefined ? lines.find((line) => line.startsWith(lastWhole)) : `${lastWhole}${whole}`
  const [before, after] = [text.slice(0, text.indexOf(begin)), text.slice(text.indexOf(end))]
  return `${before}${begin}\n\n${table}\n\n${told === undefined ? "" : `${told}\n\n`}${after}`
}

const write = (results, whole) => {
  const file = join(root, "docs/simulation.md")
  writeFileSync(file, written(readFileSync(file, "utf8"), results, whole))
}

if (import.meta.main) {
  const options = Options.read(help, {
    only: { type: "string", multiple: true },
    seconds: { type: "string" },
    jobs: { type: "string" },
    write: { type: "boolean", default: false },
    plan: { type: "boolean", default: false }
  })
  const wanted = bugs.filter(({ name }) => options.only?.includes(name) ?? true)
  if (wanted.length === 0) {
    console.error(`--only names bugs, and there is none of this name: ${options.only.join(", ")}`)
    process.exit(2)
  }
  const seconds = Options.whole(options, "seconds", { least: 1, usual: 60 })
  const jobs = Options.whole(options, "jobs", { least: 1, usual: 1 })
  const stale = wanted.flatMap((bug) => {
    try {
      rmSync(copy(bug), { recursive: true, force: true })
      return []
    } catch (error) {
      return [error.message]
    }
  })
  for (const message of stale) console.error(message)
  if (stale.length > 0 || options.plan) process.exit(stale.length > 0 ? 1 : 0)
  const control = options.only === undefined ? await look(undefined, Math.min(20, seconds)) : {}
  if (control.law !== undefined) {
    console.error(`without any bug: ${control.law}: ${control.detail}`)
    process.exit(1)
  }
  const commit = commitNow()
  const began = performance.now()
  const results = []
  const left = [...wanted]
  const work = async () => {
    for (let bug = left.shift(); bug !== undefined; bug = left.shift()) {
      const found = await look(bug, seconds)
      results.push({ bug, found })
      const told =
        found.law === undefined
          ? `SURVIVED ${found.runs} runs`
          : found.test !== undefined
            ? `survived ${found.runs} runs, and is found by a test, ${found.law}: ${found.test}`
            : `${found.law} at seed ${found.seed}, ${found.replicas} replicas, run ${found.runs}, ${found.seconds.toFixed(1)} s: ${found.detail.slice(0, 160)}`
      console.log(`${bug.name}: ${told}`)
      if (options.write) write(results)
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  const survivors = results.filter(({ found }) => found.law === undefined || found.isBroken)
  const byTests = results.filter(({ found }) => found.test !== undefined).length
  const more = byTests === 0 ? "" : `, ${byTests} of them by tests alone`
  const told = `${results.length - survivors.length} of ${results.length} bugs were found${more}`
  console.log(told)
  if (options.write && options.only === undefined) {
    const minutes = ((performance.now() - began) / 60_000).toFixed(0)
    const day = new Date().toISOString().slice(0, 10)
    write(
      results,
      `${day}, of commit ${commit}: ${told} within ${seconds} s each, ${jobs} at a time, in ${minutes} minutes.`
    )
  }
  process.exitCode = survivors.length === 0 ? 0 : 1
}
