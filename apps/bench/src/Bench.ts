/**
 * The measurement of a table: in every round each system is started afresh, makes all its measurements, and ends before the
 * next is started, so that none has the processors of another. Every second round goes through them backwards, so that none
 * always comes after the same.
 */
import { join } from "node:path"
import { Effect, FileSystem } from "effect"
import { inWords, type Run, type Sample } from "./ClosedLoop.ts"
import type { System } from "./System.ts"

/** What to measure. */
export interface Options extends Omit<Run, "writers"> {
  readonly systems: ReadonlyArray<System>
  readonly writers: ReadonlyArray<number>
  readonly rounds: number
  /** Seconds that every system runs before its first measurement, so that its code is compiled. */
  readonly rehearsal: number
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

/** Runs all rounds. The processes and files of a system end with its turn. */
export const run = Effect.fnUntraced(function* (options: Options) {
  const measured: Array<Measured> = []
  for (let round = 1; round <= options.rounds; round++) {
    measured.push(...(yield* oneRound(options, round)))
  }
  return measured
})

/** A folder for the files of a round, which ends with the scope. */
export const folder = Effect.flatMap(FileSystem.FileSystem, (fs) =>
  fs.makeTempDirectoryScoped({ prefix: "quorum-bench-" })
)

/** One line about a sample. */
export const line = ({ failed, failure, round, system, writers, writesPerSecond }: Measured): string =>
  `round ${round}, ${inWords(writers)}, ${system}: ${Math.round(writesPerSecond).toLocaleString("en-US")} writes/s` +
  (failed === 0 ? "" : `, ${failed} FAILED: ${failure}`)

// ---------------------------------------------------------------------------------------------------------------------

const rehearsalWriters = 64

const oneRound = Effect.fnUntraced(function* (options: Options, round: number) {
  const { profile, rehearsal, rounds: _, say, systems, writers: numbers, ...usual } = options
  const measured: Array<Measured> = []
  const measure = Effect.fnUntraced(function* (system: System) {
    const files = yield* folder
    const flags =
      profile === undefined
        ? []
        : ["--cpu-prof", `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${system.name}-${round}.cpuprofile`]
    const child = yield* system.start(join(files, system.name), flags)
    if (rehearsal > 0) {
      yield* child.measure({ ...usual, writers: rehearsalWriters, warmup: 0, seconds: rehearsal })
    }
    for (const writers of numbers) {
      const sample = yield* child.measure({ ...usual, writers })
      const found = { system: system.name, writers, round, ...sample }
      measured.push(found)
      yield* say(line(found))
    }
  })
  for (const system of round % 2 === 0 ? systems.toReversed() : systems) yield* Effect.scoped(measure(system))
  return measured
})
