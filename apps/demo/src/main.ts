/**
 * The command line of the demo.
 */
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { QuorumPolicy } from "@quorum/core"
import { Ports, Progress, Whole } from "@quorum/server/tools"
import { Effect, FileSystem, Option, Schema } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import { HttpClient } from "effect/http"
import * as Certificates from "./Certificates.ts"
import * as DemoSet from "./DemoSet.ts"
import * as Demo from "./Demo.ts"
import * as Ending from "./Ending.ts"
import * as Flags from "./Flags.ts"
import * as Program from "./Program.ts"
import * as Report from "./Report.ts"

/** Something that the demo was given cannot be used. */
class Unusable extends Schema.TaggedError<Unusable>()("Unusable", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
  override get [CliError.userMessage](): string {
    return this.detail
  }
}

/** The name of the replica set. */
const name = "demo"

const cities = fileURLToPath(new URL("../data/cities.jsonl", import.meta.url))

const flags = {
  input: Flag.String("input").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      'JSON Lines to import: {"namespace", "key", "value"}, or any object with an "id" (default: 4,319 cities)'
    ),
    Flag.withDefault(cities)
  ),
  limit: Whole.flag("limit", 1, Number.MAX_SAFE_INTEGER).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("Import the first N lines only"),
    Flag.optional
  ),
  report: Flag.String("report").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write the outcome to FILE as JSON"),
    Flag.optional
  ),
  dir: Flags.dir,
  port: Whole.flag("port", 0, 65_529).pipe(
    Flag.withMetavar("P"),
    Flag.withDescription("Listen on the ports P, P+1, P+2 … of 127.0.0.1 (default: 0, free ports are chosen)"),
    Flag.withDefault(0)
  ),
  replicas: Whole.flag("replicas", 3, 7).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("How many replicas to run; a write needs more than half of them (default: 3)"),
    Flag.withDefault(3)
  ),
  store: Flags.store,
  transport: Flags.transport("ws"),
  tls: Flag.Boolean("tls").pipe(
    Flag.withDescription(
      "Have the replicas prove by certificates who they are, which are exchanged on the way (needs openssl)"
    ),
    Flag.withDefault(false)
  ),
  writers: Flags.writers("How many writes are under way at once", 6000),
  metrics: Flag.Boolean("metrics").pipe(
    Flag.withDescription("Print where Prometheus finds the metrics of the replicas"),
    Flag.withDefault(false)
  ),
  keep: Flag.Boolean("keep").pipe(
    Flag.withDescription("Leave the replicas running at the end, until Ctrl-C"),
    Flag.withDefault(false)
  ),
  verbose: Flag.Boolean("verbose").pipe(
    Flag.withDescription("Show what the replicas log, instead of writing it to their folders"),
    Flag.withDefault(false)
  )
}

/** One run. Everything that it starts ends with it. */
const run = Effect.fnUntraced(function* (given: Command.Command.Config.Infer<typeof flags>) {
  const {
    dir,
    input,
    keep,
    limit,
    metrics,
    port,
    replicas,
    report: reportFile,
    store,
    tls,
    transport,
    verbose,
    writers
  } = given
  const fs = yield* FileSystem.FileSystem
  const { say } = yield* Progress.Progress
  const info = yield* Effect.mapError(fs.stat(input), () => new Unusable({ detail: `--input: there is no ${input}` }))
  if (info.type !== "File") return yield* new Unusable({ detail: `--input: ${input} is not a file` })
  if (Option.isSome(reportFile)) yield* prepareReport(reportFile.value)

  const ports = yield* port === 0 ? Ports.free(replicas) : Ports.inRow(port, replicas)
  const folder = yield* Flags.folderOf(dir, "quorum-demo-", keep)
  const w = Math.floor(replicas / 2) + 1
  const policy = yield* Effect.fromResult(QuorumPolicy.make({ n: replicas, w, order: "real-time" }))
  const script = fileURLToPath(new URL("./replica.js", import.meta.url))
  const certificates = tls ? yield* signed(folder, replicas) : undefined
  const set = yield* DemoSet.make({ script, name, folder, ports, policy, transport, store, certificates, verbose })

  if (input === cities) yield* say("City data © GeoNames, CC BY 4.0", "quiet")
  if (metrics) yield* say(["Metrics:", ...set.members.map(({ id, url }) => `  ${id}  ${url}/metrics`)].join("\n"))
  const options = { input, limit: Option.getOrUndefined(limit), writers, certificates }
  const report = yield* certificates === undefined
    ? Demo.run(set, options)
    : Effect.provideServiceEffect(Demo.run(set, options), HttpClient.HttpClient, clientOf(certificates))
  yield* say(["", ...Report.summary(report), ""].join("\n"))
  yield* say(Report.verdict(report).join("\n"), report.ok ? "good" : "bad")
  if (Option.isSome(reportFile)) yield* Report.write(reportFile.value, report)
  if (keep) {
    process.exitCode = report.ok ? 0 : 1
    yield* say(keepText(set.members, folder, certificates))
    return yield* Effect.never
  }
  if (report.ok) return
  if (Option.isNone(dir)) yield* say("With --dir FOLDER the replicas' files and logs are kept.")
  return yield* new Ending.NotHeld()
}, Effect.scoped)

const demo = Command.make("demo", flags, (input) =>
  run(input).pipe(
    Effect.catchTag("PlatformError", (error) => new Unusable({ detail: error.message })),
    Effect.onInterrupt(() =>
      Effect.flatMap(Progress.Progress, ({ finish, say }) => Effect.andThen(finish, say("Stopped, and the replicas")))
    )
  )
).pipe(
  Command.withDescription(
    "Runs a replica set of real processes: imports a file, kills replicas, and shows that no acknowledged write is lost"
  ),
  Command.withExamples([
    { command: "npx -y pnpm@12 demo", description: "Import 4,319 cities" },
    { command: "npx -y pnpm@12 demo --input memories.jsonl --report report.json", description: "Import your own file" },
    {
      command: "npx -y pnpm@12 demo --keep --port 7400",
      description: "Leave the replicas running, and try the client API"
    }
  ])
)

/** Fails before the work when a report could not be written after it. A report of an earlier run is removed. */
const prepareReport = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  const unusable = new Unusable({ detail: `--report: ${path} cannot be written` })
  yield* Effect.mapError(fs.access(dirname(resolve(path)), { writable: true }), () => unusable)
  const info = yield* Effect.option(fs.stat(path))
  if (Option.isNone(info)) return
  if (info.value.type === "Directory") return yield* unusable
  if (info.value.type === "File") yield* Effect.mapError(fs.remove(path), () => unusable)
})

/** The first certificates of all replicas. */
const signed = (folder: string, replicas: number) =>
  Effect.try({
    try: () => Certificates.make(join(folder, "certificates"), name, DemoSet.idsOf(replicas)),
    catch: (error) => new Unusable({ detail: `--tls: certificates cannot be made by openssl: ${messageOf(error)}` })
  })

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** A client that takes the replicas' certificates, and no others. */
const clientOf = ({ authority }: Certificates.Certificates) =>
  Effect.flatMap(NodeHttpClient.makeDispatcherOptions({ connect: { ca: authority } }), (dispatcher) =>
    Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, dispatcher)
  )

const keepText = (
  members: ReadonlyArray<DemoSet.Member>,
  folder: string,
  certificates: Certificates.Certificates | undefined
): string => {
  const curl = certificates === undefined ? "curl" : `curl --cacert ${certificates.authorityFile}`
  return [
    "",
    "The replicas run until Ctrl-C:",
    ...members.map(({ id, url }) => `  ${id}  ${url}`),
    "Try:",
    `  ${curl} -X PUT --data-binary 'hello' ${members[0]!.url}/v1/records/greetings/first`,
    `  ${curl} ${members[1]!.url}/v1/records/greetings/first`,
    `  ${curl} ${members[0]!.url}/v1/status`,
    `Their files are in ${folder}`
  ].join("\n")
}

Program.run(Command.run(demo, { version: "0.0.0" }))
