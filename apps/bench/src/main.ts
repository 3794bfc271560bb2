/**
 * The command line of the benchmarks.
 */
import { resolve } from "node:path"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Whole } from "@quorum/server/tools"
import { Console, Effect, FileSystem, Option, Runtime, Schema } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import * as Catalogue from "./Catalogue.ts"
import * as Charts from "./Charts.ts"
import * as Machine from "./Machine.ts"
import type { Outcome } from "./Part.ts"
import * as Parts from "./Parts.ts"
import * as RegressionCheck from "./RegressionCheck.ts"
import * as Replicas from "./Replicas.ts"
import * as Report from "./Report.ts"
import * as Result from "./Result.ts"
import * as Svg from "./Svg.ts"

/** Something that the benchmark was given cannot be used. */
class Unusable extends Schema.TaggedError<Unusable>()("Unusable", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
  override get [CliError.userMessage](): string {
    return this.detail
  }
}

/** A list of numbers of writers. */
const numbers = (text: string): ReadonlyArray<number> =>
  text.split(",").map((part) => {
    const value = /^[0-9]{1,5}$/.test(part) ? Number(part) : 0
    if (value < 1 || value > 10_000) throw new Error(`${part} is not from 1 to 10000`)
    return value
  })

/** A list of names out of those that there are, in their order. */
const namesOf =
  (known: ReadonlyArray<string>) =>
  (text: string): ReadonlyArray<string> => {
    const asked = text.split(",")
    const unknown = asked.find((name) => !known.includes(name))
    if (unknown !== undefined) throw new Error(`there is no ${unknown}; there are ${known.join(", ")}`)
    return known.filter((name) => asked.includes(name))
  }

const detail = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const partNames = Parts.all.map(({ name }) => name)
const systemNames = Catalogue.all.map(({ name }) => name)

const flags = {
  part: Flag.String("part").pipe(
    Flag.withMetavar("NAME,…"),
    Flag.withDescription(`What to measure, of ${partNames.join(", ")} (default: all)`),
    Flag.withDefault(partNames.join(",")),
    Flag.mapTryCatch(namesOf(partNames), detail)
  ),
  only: Flag.String("only").pipe(
    Flag.withMetavar("NAME,…"),
    Flag.withDescription(
      `The systems in commits, values, hot and sustained, of ${systemNames.join(", ")} (default: those of the part)`
    ),
    Flag.mapTryCatch(namesOf(systemNames), detail),
    Flag.optional
  ),
  store: Flag.Literals("store", ["sqlite", "lmdb"]).pipe(
    Flag.withDescription(
      "On what replicas keep what they hold, where a system or a part does not say (default: sqlite)"
    ),
    Flag.withDefault("sqlite" as const)
  ),
  writers: Flag.String("writers").pipe(
    Flag.withMetavar("N,…"),
    Flag.withDescription("How many writes are under way at once in the tables (default: those of the part)"),
    Flag.mapTryCatch(numbers, detail),
    Flag.optional
  ),
  seconds: Whole.flag("seconds", 1, 600).pipe(
    Flag.withDescription("How long each measurement takes, where it is not a number of commits (default: the part's)"),
    Flag.optional
  ),
  rounds: Whole.flag("rounds", 1, 100).pipe(
    Flag.withDescription("How often everything is measured (default: 3, and 1 in sustained and growth)"),
    Flag.optional
  ),
  quick: Flag.Boolean("quick").pipe(
    Flag.withDescription("Try everything in a short time; what it finds means nothing"),
    Flag.withDefault(false)
  ),
  json: Flag.String("json").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write the machine, the parameters and every sample to FILE, after every part"),
    Flag.optional
  ),
  charts: Flag.String("charts").pipe(
    Flag.withMetavar("FOLDER"),
    Flag.withDescription("Draw charts into FOLDER, as SVG"),
    Flag.optional
  ),
  profile: Flag.String("profile").pipe(
    Flag.withMetavar("FOLDER"),
    Flag.withDescription("Write a CPU profile of every process that commits in a table to FOLDER; this slows it down"),
    Flag.optional
  )
}

const describe = (items: ReadonlyArray<{ readonly name: string; readonly description: string }>): string =>
  items.map(({ description, name }) => `  ${name.padEnd(16)}${description}`).join("\n")

const bench = Command.make(
  "bench",
  flags,
  Effect.fnUntraced(
    function* (given) {
      const fs = yield* FileSystem.FileSystem
      const parts = Parts.all.filter(({ name }) => given.part.includes(name))
      const begin = Machine.now()
      const command = ["bench", ...process.argv.slice(2)].join(" ")
      yield* Console.log(`${Machine.line(begin)}\n${command}`)

      const settings = {
        quick: given.quick,
        only: Option.getOrUndefined(given.only),
        writers: Option.getOrUndefined(given.writers),
        seconds: Option.getOrUndefined(given.seconds),
        rounds: Option.getOrUndefined(given.rounds),
        profile: Option.getOrUndefined(Option.map(given.profile, (folder) => resolve(folder))),
        say: (line: string) => Console.error(line)
      }
      const outcomes: Array<Outcome> = []
      const result = (): Result.Result => ({ command, machine: { begin, end: Machine.now() }, outcomes })
      for (const { description, name, run } of parts) {
        yield* Console.log(`\n## ${name}: ${description}\n`)
        const outcome = yield* Effect.provideService(run(settings), Replicas.Store, given.store)
        outcomes.push(outcome)
        yield* Console.log(`\n${Result.tables(outcome)}`)
        if (Option.isSome(given.json)) yield* fs.writeFileString(resolve(given.json.value), Result.encode(result()))
      }
      const goals = Result.goals(result())
      if (goals.length > 0) {
        const shortened = settings.quick || settings.seconds !== undefined
        const caveat = shortened ? "The run was not as long as the goals ask, and does not decide them.\n\n" : ""
        yield* Console.log(`\n## goals\n\n${caveat}${Report.goals(goals)}`)
      }
      if (Option.isSome(given.charts)) yield* draw(result(), given.charts.value)
    },
    Effect.onInterrupt(() => stopped)
  )
)

/** Says that a run was stopped in order, which is no failure. */
const stopped = Effect.suspend(() => {
  process.exitCode = 0
  return Console.error("Stopped, and what the benchmark had started with it")
})

/** Draws what can be drawn of a run. */
const draw = Effect.fnUntraced(function* (result: Result.Result, folder: string) {
  for (const file of yield* Svg.write(Charts.of(result), resolve(folder))) yield* Console.log(file)
})

const charts = Command.make(
  "charts",
  {
    file: Argument.String("FILE").pipe(Argument.withDescription("What --json wrote")),
    folder: Argument.String("FOLDER").pipe(Argument.withDescription("Where the charts go"))
  },
  Effect.fnUntraced(function* ({ file, folder }) {
    const fs = yield* FileSystem.FileSystem
    const text = yield* fs.readFileString(resolve(file))
    const result = yield* Effect.try({
      try: () => JSON.parse(text) as Result.Result,
      catch: () => new Unusable({ detail: `${file} is not what --json writes` })
    })
    yield* draw(result, folder)
  })
).pipe(Command.withDescription("Draws the charts of an earlier run from its JSON"))

const check = Command.make("check", {}, () => RegressionCheck.run).pipe(
  Command.withDescription("Fails when ws or core alone is much slower than it was, against the ceiling; in a minute")
)

const program = bench.pipe(
  Command.withSubcommands([check, charts]),
  Command.withDescription(
    `Measures commits in a closed loop, against a ceiling without a framework, in one run. The parts:\n\n` +
      describe(Parts.all)
  ),
  Command.withExamples([
    { command: "npx -y pnpm@12 bench --json result.json --charts charts", description: "Everything" },
    { command: "npx -y pnpm@12 bench --part commits --only ceiling,ws --writers 64,256", description: "A comparison" }
  ])
)

/** The exit code of a program that was interrupted. */
const interrupted = 130

Command.run(program, { version: "0.0.0" }).pipe(
  Effect.catchTag("PlatformError", (error) => new Unusable({ detail: error.message })),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    // A check that was stopped has found nothing, and is no success.
    teardown: (exit) =>
      Runtime.defaultTeardown(exit, (code) => process.exit(code === interrupted ? (process.exitCode ?? code) : code))
  })
)
