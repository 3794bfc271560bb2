/**
 * The command line of the soak.
 */
import { fileURLToPath } from "node:url"
import { QuorumPolicy } from "@quorum/core"
import { Ports, Progress, Whole } from "@quorum/server/tools"
import { Effect, Option, Random, Schema, SchemaTransformation } from "effect"
import { Command, Flag } from "effect/cli"
import * as Ending from "./Ending.ts"
import * as Flags from "./Flags.ts"
import * as Program from "./Program.ts"
import * as Soak from "./soak/Soak.ts"

/** Some of the faults, by commas; at least one besides the clocks. */
const FaultList = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Array(Schema.Literals(Soak.faults)).check(
      Schema.makeFilter((faults) => faults.some((fault) => fault !== "clock"), {
        expected: "a fault besides the clocks"
      })
    ),
    SchemaTransformation.transform({
      decode: (text: string): ReadonlyArray<Soak.Fault> => text.split(",") as ReadonlyArray<Soak.Fault>,
      encode: (faults) => faults.join(",")
    })
  )
)

const flags = {
  minutes: Whole.flag("minutes", 1, 10_000).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("How long the faults go on (default: 10)"),
    Flag.withDefault(10)
  ),
  seed: Whole.flag("seed", 0, 2 ** 31).pipe(
    Flag.withMetavar("S"),
    Flag.withDescription("Chooses the same faults and the same keys again (default: random)"),
    Flag.optional
  ),
  transport: Flags.transport("ws"),
  store: Flags.store,
  writers: Flags.writers("How many writers write at once", 64),
  faults: Flag.String("faults").pipe(
    Flag.withMetavar("LIST"),
    Flag.withDescription(`What happens, by commas (default: ${Soak.faults.join(",")})`),
    Flag.withSchema(FaultList),
    Flag.withDefault(Soak.faults)
  ),
  dir: Flags.dir
}

/** One run. Everything that it starts ends with it. */
const run = Effect.fnUntraced(function* (given: Command.Command.Config.Infer<typeof flags>) {
  const { say } = yield* Progress.Progress
  const seed = Option.isSome(given.seed) ? given.seed.value : yield* Random.nextIntBetween(0, 2 ** 31)
  const folder = yield* Flags.folderOf(given.dir, "quorum-soak-")
  const { faults, minutes, store, transport, writers } = given
  yield* say(
    `Soak of ${minutes} minutes over ${transport} on ${store} with ${writers} writers; --seed ${seed} for the same again`
  )
  const { lines, problems } = yield* Soak.run({
    script: fileURLToPath(new URL("./replica.js", import.meta.url)),
    name: "soak",
    folder,
    ports: yield* Ports.free(3),
    policy: yield* Effect.fromResult(QuorumPolicy.make({ n: 3, w: 2, order: "real-time" })),
    transport,
    store,
    seed,
    minutes,
    writers,
    faults
  })
  yield* say(lines.join("\n"))
  if (problems.length > 0) return yield* new Ending.NotHeld()
}, Effect.scoped)

const soak = Command.make("soak", flags, (given) =>
  run(given).pipe(
    Effect.onInterrupt(() => Effect.flatMap(Progress.Progress, ({ say }) => say("Stopped, and the replicas")))
  )
).pipe(
  Command.withDescription(
    "Runs three replicas under load while they are killed, paused, wiped, set back and given wrong clocks, and looks " +
      "whether everything held that is promised"
  ),
  Command.withExamples([
    { command: "npx -y pnpm@12 soak --minutes 10", description: "Ten minutes over WebSocket on SQLite" },
    { command: "npx -y pnpm@12 soak --transport http --store lmdb", description: "The same over HTTP on LMDB" }
  ])
)

Program.run(Command.run(soak, { version: "0.0.0" }))
