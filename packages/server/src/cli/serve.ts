/**
 * `quorum serve`: one replica, until it is stopped.
 */
import { readFileSync } from "node:fs"
import { Console, Effect, Layer, Logger, Option, Stdio, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { HttpServer } from "effect/http"
import * as Server from "../Server.ts"
import * as ServerConfig from "../ServerConfig.ts"
import { Usage } from "./Ending.ts"
import * as Flags from "./flags.ts"
import { notify } from "./notify.ts"

/** Where settings may be. */
export const configFile = {
  config: Flag.String("config").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("A JSON file of settings; flags and variables go before it [QUORUM_CONFIG]"),
    Flag.optional
  )
}

const flags = {
  ...configFile,
  ...Flags.settingFlags,
  // Ends with the process that started it, however that ends.
  withParent: Flag.Boolean("with-parent").pipe(Flag.withDefault(false), Flag.withHidden)
}

/** The command. `onServing` runs as soon as the process is one that runs until it is stopped. */
export const command = (onServing: () => void) =>
  Command.make(
    "serve",
    flags,
    Effect.fnUntraced(function* ({ config: configFile, withParent, ...given }) {
      const config = yield* configOf(Option.getOrUndefined(configFile), Flags.givenOf(given))
      onServing()
      yield* run(config, withParent).pipe(
        Effect.annotateLogs("replica", config.id),
        Effect.provide(logger(config.logFormat))
      )
    })
  ).pipe(
    Command.withDescription(
      "Runs one replica until SIGTERM or Ctrl-C, and then stops in order: it takes no more writes, finishes those under " +
        "way, and closes its files. Says one line on standard output when it listens; its log goes to standard error. " +
        "Settings are flags, variables (QUORUM_…) and a JSON file, in this order."
    ),
    Command.withShortDescription("Runs one replica"),
    Command.withExamples([
      {
        command:
          "quorum serve --id a --peers a=http://10.0.0.1:7401,b=http://10.0.0.2:7401,c=http://10.0.0.3:7401 " +
          "--data /var/lib/quorum --host 0.0.0.0 --secret-file /etc/quorum/secret",
        description: "One of three machines"
      },
      { command: "quorum serve --config /etc/quorum/quorum.json", description: "All settings from a file" }
    ])
  )

// ---------------------------------------------------------------------------------------------------------------------

/** The settings out of all their places. `serves`: whether a replica is to be run by them, which has to know its peers. */
export const configOf = Effect.fnUntraced(function* (
  flag: string | undefined,
  flags: Readonly<Record<string, string>>,
  { serves = true }: { readonly serves?: boolean } = {}
) {
  const path = flag ?? process.env["QUORUM_CONFIG"]
  const source = flag === undefined ? "QUORUM_CONFIG" : "--config"
  const object =
    path === undefined || path === "" ? undefined : { settings: yield* fileOf(path, source), place: `in ${path}` }
  return yield* Effect.fromResult(
    ServerConfig.make({
      flags,
      environment: process.env,
      hasSecret: !serves,
      ...(object === undefined ? {} : { object })
    })
  )
})

const fileOf = (path: string, source: string): Effect.Effect<object, Usage> =>
  Effect.suspend(() => {
    const unusable = (why: string) => Effect.fail(new Usage({ detail: `${source}: ${path}: ${why}` }))
    try {
      const read: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path)))
      return typeof read === "object" && read !== null && !Array.isArray(read)
        ? Effect.succeed(read)
        : unusable("expected an object of settings")
    } catch (error) {
      return unusable(error instanceof Error ? error.message : String(error))
    }
  })

const logger = (format: "text" | "json") =>
  Logger.layer([Logger.withConsoleError(format === "json" ? Logger.formatJson : Logger.formatLogFmt)])

const run = Effect.fnUntraced(function* (config: ServerConfig.ServerConfig, withParent: boolean) {
  const services = yield* Effect.mapError(Layer.build(Server.layer(config)), (error) => Server.explained(config, error))
  const { address } = yield* Effect.provide(HttpServer.HttpServer, services)
  const url = Server.urlOf(config, address)
  yield* Effect.addFinalizer(() => Effect.andThen(Effect.logInfo("stopping"), notify("STOPPING=1")))
  yield* Console.log(readyLine(config, url))
  yield* notify("READY=1", `STATUS=listens on ${url}`)
  if (!withParent) return yield* Effect.never
  const stdio = yield* Stdio.Stdio
  yield* Effect.ignore(Stream.runDrain(stdio.stdin))
  yield* Effect.logInfo("the parent process is gone")
}, Effect.scoped)

const readyLine = ({ id, logFormat, store, transport }: ServerConfig.ServerConfig, url: string): string =>
  logFormat === "json"
    ? JSON.stringify({ ready: id, url, pid: process.pid })
    : `replica ${id} listens on ${url} (${store}, ${transport}, process ${process.pid})`
