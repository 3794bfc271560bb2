/** Runs seeds, the arguments, and prints a hash of all that is told of them. */
import { createHash } from "node:crypto"
import * as Scenario from "../../src/internal/simulation/Scenario.ts"

const hash = createHash("sha256")
for (const seed of process.argv.slice(2)) {
  for (const line of Scenario.run(Scenario.draw(Number(seed)), true).trace) hash.update(`${line}\n`)
}
process.stdout.write(hash.digest("hex"))
