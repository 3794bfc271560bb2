/**
 * The regression check: a few short interleaved rounds, and once more when they do not pass.
 */
import { Console, Effect, Runtime, Schema } from "effect"
import * as Bench from "./Bench.ts"
import * as Part from "./Part.ts"
import * as Regression from "./Regression.ts"
import * as Systems from "./Systems.ts"

/** Something is much slower than it was. What, has been said. */
export class Slower extends Schema.TaggedError<Slower>()("Slower", {}) {
  override readonly [Runtime.errorReported] = false
}

const measure = Bench.run({
  systems: [Systems.ceiling, Systems.ws, Systems.core],
  writers: [Regression.writers],
  rounds: 2,
  rehearsal: 1,
  warmup: 0.5,
  seconds: 1.5,
  valueBytes: 128,
  keys: Part.keys,
  profile: undefined,
  say: Console.error
})

/** Fails with {@link Slower} when a ratio stays below its floor twice. */
export const run = Effect.gen(function* () {
  const samples = yield* measure
  let findings = Regression.findings(samples)
  if (findings.some(({ passes }) => !passes)) {
    yield* Console.error(`${findings.map(Regression.line).join("\n")}\nOnce more:`)
    findings = Regression.findings([
      ...samples,
      ...(yield* measure).map((sample) => ({ ...sample, round: -sample.round }))
    ])
  }
  yield* Console.log(findings.map(Regression.line).join("\n"))
  if (findings.some(({ passes }) => !passes)) {
    yield* Console.error("Quorum has become slower than the floors in apps/bench/src/Regression.ts allow.")
    return yield* new Slower()
  }
})
