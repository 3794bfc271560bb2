// Runs whole replica sets from seeds, and looks at what is promised: `simulate --seeds N [--seed S] [--replicas N]
// [--json FILE]`. One seed alone is told line by line; what fails is made smaller and told.
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { root, turboRun } from "./turbo.mjs"

const { values: options } = parseArgs({
  options: {
    seeds: { type: "string" },
    seed: { type: "string" },
    replicas: { type: "string" },
    json: { type: "string" },
    scenario: { type: "string" },
    pinned: { type: "boolean", default: false },
    seconds: { type: "string" },
    "no-build": { type: "boolean", default: false },
    quiet: { type: "boolean", default: false }
  }
})

const whole = (name, least) => {
  const text = options[name]
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text) || Number(text) < least) {
    console.error(`--${name} is a whole number from ${least} on, not ${text}`)
    process.exit(2)
  }
  return Number(text)
}
const replicas = whole("replicas", 1)
const seeds = whole("seeds", 1) ?? (options.seconds === undefined ? 1 : Number.MAX_SAFE_INTEGER)
const firstSeed = whole("seed", 0) ?? (Date.now() % 1e9) * 1000
const seconds = whole("seconds", 1) ?? Number.POSITIVE_INFINITY

if (!options["no-build"]) {
  const status = await turboRun(["build", "--filter=@quorum/testing"], { quiet: true })
  if (status !== 0) process.exit(status)
}
const Simulation = await import(join(root, "packages/testing/dist/Simulation.js"))

const repeat = (scenario) => `npx -y pnpm@12 simulate --scenario '${JSON.stringify(scenario)}'`

/** The runs that are asked for: those that once failed first, if they are wanted. */
function* wanted() {
  if (options.scenario !== undefined) return yield JSON.parse(options.scenario)
  if (options.pinned) {
    const lines = readFileSync(join(root, "packages/testing/seeds.txt"), "utf8").split("\n")
    for (const line of lines.filter((each) => /^\d/.test(each))) {
      const [seed, count] = line.split(" ")
      yield Simulation.standard(Number(seed), Number(count))
    }
  }
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) yield Simulation.standard(seed, replicas)
}

const faults = new Map(Object.values(Simulation.faultCounts).flatMap((names) => names.map((name) => [name, 0])))
const broken = []
const possible = new Set()
let runs = 0
let operations = 0
let virtualMillis = 0
const began = performance.now()
let told = began
const rate = () => (runs / ((performance.now() - began) / 1000)).toFixed(1)

for (const scenario of wanted()) {
  const outcome = Simulation.runStandard(scenario, options.scenario !== undefined)
  runs++
  operations += outcome.operations.length
  virtualMillis += outcome.virtualMillis
  for (const [name, count] of outcome.faults) faults.set(name, (faults.get(name) ?? 0) + count)
  for (const kind of scenario.nemesis.kinds) possible.add(kind)
  if (options.scenario !== undefined) console.log(outcome.trace.join("\n"))
  if (outcome.violations.length > 0) {
    const [{ at, detail, law }] = outcome.violations
    broken.push({
      seed: scenario.seed,
      replicas: scenario.replicas,
      law,
      detail,
      laws: [...new Set(outcome.violations.map((each) => each.law))]
    })
    console.log(`seed ${scenario.seed}, ${scenario.replicas} replicas, at ${Math.round(at)} ms: ${law}: ${detail}`)
  }
  if (!options.quiet && performance.now() - told > 10_000) {
    told = performance.now()
    console.log(`${runs} runs, ${rate()} a second, ${broken.length} broken`)
  }
  if (performance.now() - began > seconds * 1000) break
}

const hours = virtualMillis / 3_600_000
console.log(
  `${runs} runs from seed ${firstSeed}, ${rate()} a second: ${hours.toFixed(1)} virtual hours, ${operations} operations, ` +
    `${broken.length} runs broken`
)
const silent = [...possible].flatMap((kind) => Simulation.faultCounts[kind].filter((name) => faults.get(name) === 0))
if (runs > 1) {
  console.log(`faults: ${[...faults].map(([name, count]) => `${name} ${count}`).join(", ")}`)
  if (silent.length > 0) console.log(`never happened: ${silent.join(", ")}`)
}

const [first] = broken
if (first !== undefined && options.scenario === undefined) {
  const scenario = Simulation.shrink(Simulation.standard(first.seed, first.replicas), first.law, 400)
  console.log(`the smallest run that was found to break ${first.law}; repeat it with\n  ${repeat(scenario)}`)
  console.log(Simulation.runStandard(scenario, true).trace.slice(-60).join("\n"))
}
if (options.json !== undefined) {
  const report = { firstSeed, runs, operations, virtualMillis, seconds: (performance.now() - began) / 1000 }
  writeFileSync(
    options.json,
    `${JSON.stringify({ ...report, faults: Object.fromEntries(faults), broken }, undefined, 2)}\n`
  )
}
// Few runs need not have every fault.
process.exitCode = broken.length > 0 || (silent.length > 0 && runs >= 500) ? 1 : 0
