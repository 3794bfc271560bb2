// Runs whole replica sets from seeds, and looks at what is promised: `simulate --seeds N [--seed S] [--replicas N]
// [--json FILE]`. One seed alone is told line by line; what fails is made smaller and told.
import { fork } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { commitNow } from "./commit.mjs"
import * as Options from "./options.mjs"
import { open } from "./simulate-progress.mjs"
import { root, turboRun } from "./turbo.mjs"

const help = `
npx -y pnpm@12 simulate --seeds 1000 --jobs 2

Runs whole replica sets from seeds, on virtual time and with faults, and looks at what is promised. Ends with 1 when a
promise was broken; that run is made smaller, and told with a line that repeats it. See docs/simulation.md.

  --seeds N        how many runs; one unless given
  --seed S         the first seed; a fresh one unless given
  --seconds T      stop after so long
  --replicas N     always so many replicas
  --with KINDS     these kinds of faults in every run, besides those that its seed draws: clock_jump,wipe
  --skew T         clocks that are wrong by up to so many milliseconds from the beginning, in every run
  --jobs N         so many threads; one unless given
  --resume FILE    keeps what is done in a file, and goes on from there on the same commit; needs --seed and --seeds
  --pinned         first the runs that broke a promise once (packages/testing/seeds.txt)
  --scenario JSON  one run, told line by line: what a broken run prints to be repeated
  --json FILE      the figures as JSON
  --quiet          no progress
  --no-build       with what was built last
`
const text = { type: "string" }
const flag = { type: "boolean", default: false }
const options = Options.read(help, {
  seeds: text,
  seed: text,
  replicas: text,
  json: text,
  scenario: text,
  pinned: flag,
  seconds: text,
  jobs: text,
  with: text,
  skew: text,
  resume: text,
  "no-build": flag,
  quiet: flag
})

const whole = (name, least) => Options.whole(options, name, { least })
const replicas = whole("replicas", 1)
const seeds = whole("seeds", 1) ?? (options.seconds === undefined ? 1 : Number.MAX_SAFE_INTEGER)
const firstSeed = whole("seed", 0) ?? (Date.now() % 1e9) * 1000
const jobs = whole("jobs", 1) ?? 1
const seconds = whole("seconds", 1) ?? Number.POSITIVE_INFINITY
const skewMillis = whole("skew", 0)
const withKinds = options.with?.split(",") ?? []

if (!options["no-build"]) {
  const status = await turboRun(["build", "--filter=@quorum/testing"], { quiet: true })
  if (status !== 0) process.exit(status)
}
const simulator = pathToFileURL(join(root, "packages/testing/dist/Simulation.js")).href
const Simulation = await import(simulator)

const unknown = withKinds.find((kind) => !Simulation.faultKinds.includes(kind))
if (unknown !== undefined) {
  console.error(`--with names kinds of faults, and ${unknown} is none: ${Simulation.faultKinds.join(", ")}`)
  process.exit(2)
}

/** The run of a seed, with what every run is to have. */
const standard = (seed) => {
  const drawn = Simulation.standard(seed, replicas, withKinds)
  return { ...drawn, skewMillis: skewMillis ?? drawn.skewMillis }
}

const repeat = (scenario) => `npx -y pnpm@12 simulate --scenario '${JSON.stringify(scenario)}'`

/** The runs that are asked for: those that once failed first, if they are wanted. */
function* wanted() {
  if (options.pinned) {
    const lines = readFileSync(join(root, "packages/testing/seeds.txt"), "utf8").split("\n")
    for (const line of lines) if (line !== "" && !line.startsWith("#")) yield JSON.parse(line)
  }
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) yield standard(seed)
}

if (options.scenario !== undefined) {
  const { trace, violations } = Simulation.runStandard(JSON.parse(options.scenario), true)
  console.log(trace.join("\n"))
  process.exit(violations.length > 0 ? 1 : 0)
}

if (options.resume !== undefined && (options.seed === undefined || options.seeds === undefined)) {
  console.error("--resume goes on with the same runs: it needs --seed and --seeds")
  process.exit(2)
}
const commit = commitNow()
const openOrEnd = () => {
  try {
    return open(options.resume, { commit, firstSeed, seeds, replicas, pinned: options.pinned, withKinds, skewMillis })
  } catch (error) {
    console.error(error.message)
    return process.exit(2)
  }
}
const progress = openOrEnd()
const { figures } = progress
const before = { ...figures }
const began = performance.now()
let told = began
const passed = () => (performance.now() - began) / 1000
const rate = () => (figures.runs / (before.seconds + passed())).toFixed(1)

const take = (part, found) => {
  for (const { scenario, violations } of found.broken) {
    const [{ at, detail, law }] = violations
    console.log(`seed ${scenario.seed}, ${scenario.replicas} replicas, at ${Math.round(at)} ms: ${law}: ${detail}`)
  }
  const broken = found.broken.map(({ scenario, violations }) => {
    const [{ detail, law }] = violations
    return { scenario, law, detail, laws: [...new Set(violations.map((each) => each.law))] }
  })
  progress.take(part, { ...found, broken })
  if (performance.now() - told < 10_000) return
  told = performance.now()
  progress.save(passed())
  if (!options.quiet) console.log(`${figures.runs} runs, ${rate()} a second, ${figures.broken.length} broken`)
}

/**
 * Several processes run a few scenarios at a time, each with room for what is short-lived from the beginning: nearly all is
 * garbage when a run ends, and what is collected in the middle of one is copied. Processes, because a thread's cannot be
 * made so large at once: two threads make 19 runs a second where two processes make 24.
 */
const roomForWhatIsShort = ["--max-semi-space-size=128", "--min-semi-space-size=128"]
const left = wanted()
for (let i = 0; i < before.taken; i++) left.next()
let parts = 0
const some = () => {
  const found = []
  while (found.length < 10 && passed() < seconds) {
    const next = left.next()
    if (next.done) break
    found.push(next.value)
  }
  return found
}
const work = () =>
  new Promise((resolve, reject) => {
    const path = fileURLToPath(new URL("simulate-worker.mjs", import.meta.url))
    const worker = fork(path, [simulator], {
      execArgv: [...process.execArgv, ...roomForWhatIsShort],
      serialization: "advanced"
    })
    let part
    const next = () => {
      const scenarios = some()
      part = parts++
      if (scenarios.length > 0) return worker.send(scenarios)
      worker.disconnect()
      resolve()
    }
    worker.on("message", (found) => {
      take(part, found)
      next()
    })
    worker.on("error", reject)
    worker.on("exit", (code, signal) => {
      if (code !== 0) reject(new Error(`a process that runs them has ended: ${signal ?? `exit code ${code}`}`))
    })
    next()
  })
await Promise.all(Array.from({ length: jobs }, work))

progress.save(passed())
const { broken, faults, operations, runs, virtualMillis } = figures
const silent = figures.possible.flatMap((kind) => Simulation.faultCounts[kind].filter((name) => !faults[name]))
if (runs > 1) {
  console.log(
    `faults: ${Object.entries(faults)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ")}`
  )
  if (silent.length > 0) console.log(`never happened: ${silent.join(", ")}`)
}

const hours = virtualMillis / 3_600_000
console.log(
  `${runs} runs from seed ${firstSeed} on commit ${commit}, ${rate()} a second: ${hours.toFixed(1)} virtual hours, ${operations} operations, ` +
    `${broken.length} runs broken`
)
const [first] = broken
if (first !== undefined) {
  const scenario = Simulation.shrink(first.scenario, first.law, 400)
  console.log(`the smallest run that was found to break ${first.law}; repeat it with\n  ${repeat(scenario)}`)
  console.log(Simulation.runStandard(scenario, true).trace.slice(-60).join("\n"))
}
if (options.json !== undefined) {
  const report = { commit, firstSeed, runs, operations, virtualMillis, seconds: before.seconds + passed() }
  writeFileSync(options.json, `${JSON.stringify({ ...report, faults, broken }, undefined, 2)}\n`)
}
// Few runs need not have every fault. Chosen seeds have it or have it not; of fresh ones a few more miss a rare one by chance.
const enough = options.seed === undefined ? 500 : 300
process.exitCode = broken.length > 0 || (silent.length > 0 && runs >= enough) ? 1 : 0
