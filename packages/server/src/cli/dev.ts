/**
 * `quorum dev`: a replica set of processes on this machine, until Ctrl-C.
 */
import { randomBytes } from "node:crypto"
import { rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { Console, Deferred, Effect, Fiber, FileSystem, Option, Schedule, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { HttpClient } from "effect/http"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { defaultPort } from "../ServerConfig.ts"
import * as Reading from "../config/reading.ts"
import * as Folder from "../tools/Folder.ts"
import * as Ports from "../tools/Ports.ts"
import { Failed, Usage } from "./Ending.ts"
import * as Whole from "../tools/Whole.ts"
import * as Flags from "./flags.ts"

const flags = {
  replicas: Whole.flag("replicas", 1, 7).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("How many replicas to run; a write needs more than half of them (default: 3)"),
    Flag.withDefault(3)
  ),
  data: Flag.String("data").pipe(
    Flag.withMetavar("FOLDER"),
    Flag.withDescription("Keep their files in FOLDER (default: a temporary folder that is removed at the end)"),
    Flag.optional
  ),
  port: Whole.flag("port", 1, 65_529).pipe(
    Flag.withMetavar("P"),
    Flag.withDescription(
      `Listen on P, P+1, P+2 … of 127.0.0.1 (default: ${defaultPort}, or any free ports where it is taken)`
    ),
    Flag.optional
  ),
  transport: Flags.settingFlags.transport,
  store: Flags.settingFlags.store,
  json: Flags.json,
  verbose: Flag.Boolean("verbose").pipe(
    Flag.withDescription("Show what the replicas log, all of it"),
    Flag.withDefault(false)
  )
}

/** The command. `onServing` runs as soon as the process is one that runs until it is stopped. */
export const command = (onServing: () => void) =>
  Command.make(
    "dev",
    flags,
    Effect.fnUntraced(function* (given) {
      yield* noVariables
      const { store, transport } = yield* usable(Flags.givenOf({ store: given.store, transport: given.transport }))
      onServing()
      const ports = yield* portsOf(given.port, given.replicas)
      const folder = yield* folderOf(given.data)
      const members = ports.map((port, i): Member => {
        const id = String.fromCharCode(97 + i)
        return { id, port, url: `http://${Ports.host}:${port}`, folder: join(folder, id) }
      })
      const extra = [
        ...(store === undefined ? [] : ["--store", store]),
        ...(transport === undefined || members.length === 1 ? [] : ["--transport", transport])
      ]
      if (members.length > 1) extra.push("--secret-file", yield* secretIn(folder))
      const gone = yield* Deferred.make<never, Failed>()
      yield* Effect.forEach(members, (member) => start(member, members, extra, given.verbose, gone), { discard: true })
      yield* Effect.raceFirst(Effect.forEach(members, ready, { concurrency: "unbounded" }), Deferred.await(gone))
      const json = () => JSON.stringify({ folder, replicas: members.map(({ id, url }) => ({ id, url })) })
      yield* Console.log(given.json ? json() : text(members, folder, Option.isNone(given.data)))
      return yield* Deferred.await(gone)
    }, Effect.scoped)
  ).pipe(
    Command.withDescription(
      "Runs a replica set on this machine for trying out: one process each, on loopback, with a secret of their own and without tokens. " +
        "Ctrl-C ends them all. With --data they go on the next time where they were. They are run by these flags alone: variables " +
        "that are settings of quorum serve are refused."
    ),
    Command.withShortDescription("Runs three replicas on this machine, for trying out"),
    Command.withExamples([
      { command: "quorum dev", description: "Three replicas, whose files are gone afterwards" },
      { command: "quorum dev --replicas 5 --data ./replicas", description: "Five, whose files stay" }
    ])
  )

// ---------------------------------------------------------------------------------------------------------------------

/** Whoever sets one expects something of it, and the settings of one replica are not those of several. */
const noVariables = Effect.suspend(() => {
  const found = Array.from(Reading.ofEnvironment(process.env).values(), ({ source }) => source)
  const variables = process.env["QUORUM_CONFIG"] === undefined ? found : [...found, "QUORUM_CONFIG"]
  if (variables.length === 0) return Effect.void
  const it = variables.length === 1 ? "it" : "them"
  const detail = `quorum dev is run by its flags alone; unset ${it}, or run quorum serve`
  return Effect.fail(new Usage({ detail: `${variables.join(", ")}: ${detail}` }))
})

/** What is for all replicas, once it can be used: otherwise each of them would end, and say so by itself. */
const usable = (given: Readonly<Record<string, string>>): Effect.Effect<Readonly<Record<string, string>>, Usage> =>
  Effect.fromResult(Reading.read([Reading.ofFlags(given)])).pipe(
    Effect.mapBoth({
      onFailure: (problems) =>
        new Usage({ detail: problems.map(({ detail, source }) => `${source}: ${detail}`).join("\n") }),
      onSuccess: () => given
    })
  )

interface Member {
  readonly id: string
  readonly port: number
  readonly url: string
  readonly folder: string
}

const portsOf = (port: Option.Option<number>, count: number) =>
  Option.match(port, {
    onSome: (first) => Ports.inRow(first, count),
    onNone: () => Ports.inRow(defaultPort, count).pipe(Effect.catch(() => Ports.free(count)))
  })

const folderOf = Effect.fnUntraced(function* (data: Option.Option<string>) {
  if (Option.isSome(data)) {
    const folder = resolve(data.value)
    yield* Effect.mapError(Folder.make(folder), ({ message }) => new Usage({ detail: `--data: ${message}` }))
    return folder
  }
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.orDie(fs.makeTempDirectoryScoped({ prefix: "quorum-dev-" }))
})

/** A secret of this set's own: made anew, since all its replicas start together. */
const secretIn = (folder: string) =>
  Effect.sync(() => {
    const file = join(folder, "secret")
    rmSync(file, { force: true })
    writeFileSync(file, randomBytes(32).toString("hex"), { mode: 0o600 })
    return file
  })

const main = fileURLToPath(new URL("../main.js", import.meta.url))

/** Starts one replica, which ends with the scope, and with this process however that ends. */
const start = Effect.fnUntraced(function* (
  member: Member,
  members: ReadonlyArray<Member>,
  extra: ReadonlyArray<string>,
  verbose: boolean,
  gone: Deferred.Deferred<never, Failed>
) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const peers = members.length === 1 ? [] : ["--peers", members.map(({ id, url }) => `${id}=${url}`).join(",")]
  const args = [
    "serve",
    "--with-parent",
    "--id",
    member.id,
    "--data",
    member.folder,
    ...peers,
    "--port",
    String(member.port)
  ]
  const handle = yield* spawner
    .spawn(
      ChildProcess.make(process.execPath, [...nodeFlags, main, ...args, ...extra], {
        stdin: "pipe",
        stdout: "ignore",
        stderr: "pipe",
        env: inherited(),
        extendEnv: false,
        forceKillAfter: stopMillis
      })
    )
    .pipe(Effect.mapError((error) => new Failed({ detail: `replica ${member.id} did not start: ${error.message}` })))
  let complaint = ""
  const said = yield* handle.stderr.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) => {
      complaint = `${complaint}${line}\n`.slice(-complaintLength)
      return verbose ? Console.error(`${member.id} | ${line}`) : Effect.void
    }),
    Effect.ignore,
    Effect.forkScoped
  )
  yield* Effect.exit(handle.exitCode).pipe(
    Effect.tap(() => Effect.timeoutOption(Fiber.await(said), 500)),
    Effect.andThen(() =>
      Deferred.fail(gone, new Failed({ detail: `replica ${member.id} ended:\n${complaint.trim()}` }))
    ),
    Effect.forkScoped
  )
})

/** Until a write could be committed there. */
const ready = ({ url }: Member) =>
  Effect.flatMap(HttpClient.HttpClient, (client) => client.get(`${url}/readyz`)).pipe(
    Effect.filterOrFail(({ status }) => status === 200),
    Effect.retry(Schedule.spaced(50)),
    Effect.timeoutOrElse({
      duration: startMillis,
      orElse: () => Effect.fail(new Failed({ detail: `${url} was not ready after ${startMillis / 1000} seconds` }))
    })
  )

const text = (members: ReadonlyArray<Member>, folder: string, isTemporary: boolean): string => {
  const isUsual = members[0]!.port === defaultPort
  const urls = isUsual ? "" : ` --url ${members.map(({ url }) => url).join(",")}`
  return [
    `${members.length === 1 ? "A replica runs" : `${members.length} replicas run`} until Ctrl-C:`,
    ...members.map(({ id, url }) => `  ${id}  ${url}`),
    "Try:",
    `  curl -X PUT --data-binary hello ${members[0]!.url}/v1/records/greetings/first`,
    `  curl ${members.at(-1)!.url}/v1/records/greetings/first`,
    `  npx quorum get greetings first${urls}`,
    `Their files are in ${folder}${isTemporary ? ", until then" : ""}`
  ].join("\n")
}

/** A smaller nursery than Node's default: less memory for a replica under load, and no slower. */
const nodeFlags = ["--max-semi-space-size=8"]

/** The environment, but for where systemd is told of this process: each replica would say that it is ready. */
const inherited = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || name === "NOTIFY_SOCKET" ? [] : [[name, value]]
    )
  )

/** How long a replica may take to be ready, and to stop before it is killed, in milliseconds. */
const startMillis = 30_000
const stopMillis = 6000

/** How much of what a replica said is kept. */
const complaintLength = 2000
