/**
 * The command `quorum`.
 */
import { readFileSync } from "node:fs"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { Command } from "effect/cli"
import { HttpClient } from "effect/http"
import * as Backup from "./cli/backup.ts"
import * as Dev from "./cli/dev.ts"
import * as Doctor from "./cli/doctor.ts"
import * as Ending from "./cli/Ending.ts"
import * as Explain from "./cli/explain.ts"
import * as Exporting from "./cli/exporting.ts"
import * as Importing from "./cli/importing.ts"
import * as Ls from "./cli/ls.ts"
import * as Records from "./cli/records.ts"
import * as Recover from "./cli/recover.ts"
import * as Serve from "./cli/serve.ts"
import * as Status from "./cli/status.ts"
import * as Watch from "./cli/watch.ts"
import * as Writes from "./cli/writes.ts"

const isJson = Ending.isJson(process.argv.slice(2))
let runsUntilStopped = false
let isReplica = false
const onServing = (): void => void (runsUntilStopped = true)

const quorum = Command.make("quorum").pipe(
  Command.withDescription("Durable writes on W of N replicas: runs replicas, and asks them"),
  Command.withSubcommands([
    {
      group: "Replicas",
      commands: [
        Serve.command(() => {
          isReplica = true
          onServing()
        }),
        Dev.command(onServing),
        Status.command,
        Doctor.command,
        Explain.command,
        Backup.backup,
        Backup.restore,
        Recover.command
      ]
    },
    {
      group: "Records",
      commands: [
        Records.put,
        Records.get,
        Records.del,
        Ls.command,
        Watch.command,
        Importing.command,
        Exporting.command,
        Writes.resume,
        Writes.verify
      ]
    }
  ])
)

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }

// Whoever read the output has gone, as `head` does, or there is no room for it: stop in order, as on Ctrl-C. A replica, which
// may be on a full disk together with what it says, goes on without either.
process.stdout.on("error", (error) => {
  if (isReplica) return
  Ending.unsaid(error, isJson)
  if (process.listenerCount("SIGTERM") > 0) process.kill(process.pid, "SIGTERM")
})

process.stderr.on("error", () => undefined)

Command.run(quorum, { version }).pipe(
  Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
  Effect.provide(isJson ? Ending.inJson : Layer.empty),
  Effect.provide(NodeHttpClient.layerUndici),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ teardown: Ending.teardown(() => runsUntilStopped) })
)
