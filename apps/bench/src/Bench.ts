/**
 * The measurement: in every round all systems are started afresh, and take turns at every number of writers, so that
 * what the machine does besides hits all of them.
 */
import { join } from "node:path"
import { Effect, FileSystem } from "effect"
import type { Sample } from "./ClosedLoop.ts"
import type { System } from "./Systems.ts"

/** What to measure. */
export interface Options {
  readonly systems: ReadonlyArray<System>
  readonly writers: ReadonlyArray<number>
  readonly rounds: number
  readonly warmup: number
  readonly seconds: number
  readonly valueBytes: number
  /** Where CPU profiles of the processes that commit go. */
  readonly profile: string | undefined
  readonly say: (line: string) => Effect.Effect<void>
}

/** One sample and what it is of. */
export interface Measured extends Sample {
  readonly system: string
  readonly writers: number
  readonly round: number
}

/** Runs all rounds. The processes and files of a round end with it. */
export const run = Effect.fnUntraced(function* (options: Options) {
  const measured: Array<Measured> = []
  for (let round = 1; round <= options.rounds; round++) {
    measured.push(...(yield* Effect.scoped(oneRound(options, round))))
  }
  return measured
})

// ---------------------------------------------------------------------------------------------------------------------

const oneRound = Effect.fnUntraced(function* (options: Options, round: number) {
  const { profile, rounds, say, seconds, systems, valueBytes, warmup } = options
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped({ prefix: "quorum-bench-" })
  const measured: Array<Measured> = []
  const children = []
  for (const system of systems) {
    const flags =
      profile === undefined
        ? []
        : ["--cpu-prof", `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${system.name}-${round}.cpuprofile`]
    children.push({ system, child: yield* system.start(join(folder, system.name), flags) })
  }
  for (const writers of options.writers) {
    for (const { child, system } of children) {
      const sample = yield* child.measure({ writers, warmup, seconds, valueBytes })
      measured.push({ system: system.name, writers, round, ...sample })
      const failures = sample.failed === 0 ? "" : `, ${sample.failed} FAILED: ${sample.failure}`
      yield* say(
        `round ${round} of ${rounds}, ${writers} writers, ${system.name}: ` +
          `${Math.round(sample.writesPerSecond).toLocaleString("en-US")} writes/s${failures}`
      )
    }
  }
  return measured
})
