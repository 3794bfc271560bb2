/**
 * What the programs of the demo have in common: what they run with, and that they stop in order.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Progress } from "@quorum/server/tools"
import { Effect } from "effect"
import { HttpClient } from "effect/http"
import * as BadFlags from "./BadFlags.ts"
import * as Ending from "./Ending.ts"

/** Runs a command as this process. */
export const run = <E>(
  command: Effect.Effect<void, E, Progress.Progress | HttpClient.HttpClient | NodeServices.NodeServices>
): void => {
  // Whoever read the output has gone, as `head` does: stop in order, as on Ctrl-C.
  process.stdout.on("error", () => process.kill(process.pid, "SIGTERM"))
  command.pipe(
    Effect.provide(Progress.layer(process.stdout)),
    Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
    Effect.provide(NodeHttpClient.layerUndici),
    Effect.provide(BadFlags.layer),
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain({ teardown: Ending.teardown })
  )
}
