// Runs seeds of a copy of core until a promise is broken, and prints what was found: what `mutants` starts for each bug.
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const [folder, seconds, wanted] = process.argv.slice(2)
const { compacts, everyMillis, kinds, replicas } = JSON.parse(wanted)
const Simulation = await import(pathToFileURL(join(folder, "packages/testing/src/Simulation.ts")).href)

const began = performance.now()
const passed = () => (performance.now() - began) / 1000
let found = {}
let runs = 0
for (let seed = 1; found.law === undefined && passed() < Number(seconds); seed++) {
  const scenario = Simulation.standard(seed, replicas)
  // A rare bug is looked for where the faults are drawn that it needs, and no more of them than it can bear.
  if (!kinds.every((kind) => scenario.nemesis.kinds.includes(kind))) continue
  if (scenario.nemesis.everyMillis < everyMillis || (compacts && scenario.compacts === undefined)) continue
  runs++
  const [violation] = Simulation.runStandard(scenario).violations
  if (violation !== undefined) found = { ...violation, seed, replicas: scenario.replicas }
}
console.log(JSON.stringify({ ...found, runs, seconds: passed() }))
