// Runs seeds of a copy of core until a promise is broken, and prints what was found: what `mutants` starts for each bug.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const [folder, seconds, wanted] = process.argv.slice(2)
const { compacts, everyMillis, first, kinds, replicas } = JSON.parse(wanted)
const Simulation = await import(pathToFileURL(join(folder, "packages/testing/src/Simulation.ts")).href)

const began = performance.now()
const passed = () => (performance.now() - began) / 1000
let found = {}
let runs = 0

const look = (scenario) => {
  runs++
  const [violation] = Simulation.runStandard(scenario).violations
  if (violation !== undefined) found = { ...violation, seed: scenario.seed, replicas: scenario.replicas }
}

const pinned = readFileSync(new URL("../packages/testing/seeds.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("{"))
  .map((line) => JSON.parse(line))
// What a bug was found by once: as it is pinned, or as its seed draws it.
for (const seed of first) {
  if (found.law === undefined) look(pinned.find((each) => each.seed === seed) ?? Simulation.standard(seed, replicas))
}
for (let seed = 1; found.law === undefined && passed() < Number(seconds); seed++) {
  const scenario = Simulation.standard(seed, replicas)
  // A rare bug is looked for where the faults are drawn that it needs, and no more of them than it can bear.
  if (!kinds.every((kind) => scenario.nemesis.kinds.includes(kind))) continue
  if (scenario.nemesis.everyMillis < everyMillis || (compacts && scenario.compacts === undefined)) continue
  look(scenario)
}
console.log(JSON.stringify({ ...found, runs, seconds: passed() }))
