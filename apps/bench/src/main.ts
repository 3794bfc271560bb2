/**
 * The command line of the benchmarks.
 */
import { execFileSync } from "node:child_process"
import { cpus, loadavg, totalmem } from "node:os"
import { resolve } from "node:path"
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import * as Bench from "./Bench.ts"
import * as Report from "./Report.ts"
import * as Systems from "./Systems.ts"

const between = (minimum: number, maximum: number) =>
  Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const names = Systems.all.map(({ name }) => name)
const usual = Systems.usual.map(({ name }) => name).join(",")

/** A list of numbers of writers. */
const numbers = (text: string): ReadonlyArray<number> =>
  text.split(",").map((part) => {
    const value = Number(part)
    if (!Number.isInteger(value) || value < 1 || value > 10_000) throw new Error(`${part} is not from 1 to 10000`)
    return value
  })

/** A list of systems. */
const systems = (text: string): ReadonlyArray<Systems.System> => {
  const asked = text.split(",")
  const unknown = asked.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Error(`there is no ${unknown}; there are ${names.join(", ")}`)
  return Systems.all.filter(({ name }) => asked.includes(name))
}

const detail = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const flags = {
  seconds: Flag.Int("seconds").pipe(
    between(1, 600),
    Flag.withDescription("How long each measurement takes, after one second that does not count (default: 3)"),
    Flag.withDefault(3)
  ),
  rounds: Flag.Int("rounds").pipe(
    between(1, 100),
    Flag.withDescription("How often everything is measured (default: 3)"),
    Flag.withDefault(3)
  ),
  writers: Flag.String("writers").pipe(
    Flag.withMetavar("N,…"),
    Flag.withDescription("How many writes are under way at once (default: 1,16,64,256,1024)"),
    Flag.withDefault("1,16,64,256,1024"),
    Flag.mapTryCatch(numbers, detail)
  ),
  valueBytes: Flag.Int("value-bytes").pipe(
    between(0, 1_048_576),
    Flag.withDescription("The size of a value (default: 128)"),
    Flag.withDefault(128)
  ),
  only: Flag.String("only").pipe(
    Flag.withMetavar("NAME,…"),
    Flag.withDescription(`What to measure, of ${names.join(", ")} (default: ${usual})`),
    Flag.withDefault(usual),
    Flag.mapTryCatch(systems, detail)
  ),
  json: Flag.String("json").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write the machine, the parameters and every sample to FILE"),
    Flag.optional
  ),
  profile: Flag.String("profile").pipe(
    Flag.withMetavar("FOLDER"),
    Flag.withDescription("Write a CPU profile of every process that commits to FOLDER; this slows it down"),
    Flag.optional
  )
}

const warmup = 1

/** What else could be measured, and is not yet. */
const others = ["etcd", "postgres", "redis-server", "nats-server"]

const installed = (command: string): boolean => {
  try {
    execFileSync("which", [command], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

const bench = Command.make(
  "bench",
  flags,
  Effect.fnUntraced(function* ({ json, only, profile, rounds, seconds, valueBytes, writers }) {
    const machine = {
      cpus: cpus().length,
      cpu: cpus()[0]?.model ?? "unknown",
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      node: process.version,
      loadAtStart: loadavg().map((load) => Math.round(load * 100) / 100),
      startedAt: new Date().toISOString()
    }
    yield* Console.log(
      [
        `${machine.startedAt}, node ${machine.node}, ${machine.cpus} × ${machine.cpu}, ${machine.memoryGiB} GiB, ` +
          `load ${machine.loadAtStart.join(" ")}`,
        `bench --seconds ${seconds} --rounds ${rounds} --writers ${writers.join(",")} --value-bytes ${valueBytes} ` +
          `--only ${only.map(({ name }) => name).join(",")}`,
        ...only.map(({ description, name }) => `  ${name.padEnd(16)}${description}`),
        ...others.map(
          (name) => `  ${name.padEnd(16)}${installed(name) ? "installed, not measured yet" : "not installed"}`
        )
      ].join("\n")
    )
    const measured = yield* Bench.run({
      systems: only,
      writers,
      rounds,
      warmup,
      seconds,
      valueBytes,
      profile: Option.getOrUndefined(Option.map(profile, (folder) => resolve(folder))),
      say: (line) => Console.error(line)
    })
    const rows = Report.rows(measured, Systems.ceiling.name)
    yield* Console.log(`\n${Report.table(rows)}`)
    if (Option.isSome(json)) {
      const fs = yield* FileSystem.FileSystem
      const parameters = { seconds, warmup, rounds, writers, valueBytes }
      yield* fs.writeFileString(
        resolve(json.value),
        `${JSON.stringify({ machine, parameters, rows, samples: measured }, undefined, 2)}\n`
      )
    }
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Measures commits on two of three replicas in a closed loop, against a ceiling without a framework, in one run"
  ),
  Command.withExamples([
    { command: "npx -y pnpm@12 bench", description: "Everything; takes about seven minutes" },
    { command: "npx -y pnpm@12 bench --only ceiling,ws --writers 64,256", description: "A comparison in a minute" }
  ])
)

Command.run(bench, { version: "0.0.0" }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
