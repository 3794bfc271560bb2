/**
 * `quorum doctor`: what is wrong with the replicas, and what to do.
 */
import { Console, Effect, Option } from "effect"
import { Command } from "effect/cli"
import * as Doctor from "../Doctor.ts"
import * as OpenPort from "../tools/OpenPort.ts"
import * as Table from "../tools/Table.ts"
import { Ended, Usage } from "./Ending.ts"
import * as Folder from "./folder.ts"
import * as Remote from "./remote.ts"

/** The command. */
export const command = Command.make(
  "doctor",
  { ...Remote.flags, ...Folder.flags },
  Effect.fnUntraced(function* (given) {
    if (Option.isSome(given.data) || Option.isSome(given.config)) {
      if (given.url.length > 0) return yield* new Usage({ detail: "--url and --data: give one of them" })
      return yield* Folder.examine(given)
    }
    if (given.sync) return yield* new Usage({ detail: "--sync: measured in a folder; give --data" })
    const remote = yield* Remote.connect(given)
    const replicas = yield* Remote.ask(given, (signal) => remote.client.status({ signal }))
    const views = yield* Effect.promise(() =>
      Promise.all(
        replicas.map(async ({ error, status, url }): Promise<Doctor.View> => {
          const open = status !== undefined && (await isOpen(url))
          const elsewhere =
            open && OpenPort.isLoopback(url) ? await OpenPort.elsewhere(url, status.identity.incarnation) : undefined
          return {
            url,
            status: status as Doctor.View["status"],
            ...(error === undefined ? {} : { error: Remote.messageOf(error) }),
            metrics: status === undefined ? undefined : await metricsOf(remote, url),
            open,
            ...(elsewhere === undefined ? {} : { elsewhere })
          }
        })
      )
    )
    const findings = Doctor.examine(views)
    if (given.json) yield* Console.log(JSON.stringify(findings, null, 2))
    else if (findings.length === 0)
      yield* Console.log(`${views.length} replicas answer, and nothing is wrong with them`)
    else {
      const rows = findings.map(({ level, remedy, replica, what }) => [level, replica, what, remedy])
      yield* Console.log(Table.lines(["level", "replica", "what", "what to do"], rows).join("\n"))
    }
    if (findings.some(({ level }) => level === "problem")) return yield* new Ended({ code: 1 })
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Looks at replicas that run: whether each answers, votes and reaches its peers, damage and drift, clocks, lag, disk space " +
      "and the time of a sync, settings that differ, and ports that are open to everyone. With --data or --config looks into " +
      "the folder of a replica that is stopped: whose it is, every entry against its checksums, where it lives, its index against its " +
      "logs, and its settings, an open port among them. Says what to do. Changes nothing. Exit code 1 when there is a problem."
  ),
  Command.withShortDescription("Says what is wrong with the replicas, and what to do"),
  Command.withExamples([
    {
      command: "quorum doctor --url http://10.0.0.1:7401,http://10.0.0.2:7401,http://10.0.0.3:7401",
      description: "All replicas of a set"
    },
    { command: "quorum doctor --data /var/lib/quorum", description: "One that is stopped" },
    { command: "quorum doctor --config /etc/quorum/quorum.json --sync", description: "The same, as it is configured" }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------

const patienceMillis = 5000

/** All series; undefined where none are shown. */
const metricsOf = async (remote: Remote.Remote, url: string): Promise<Doctor.View["metrics"]> => {
  try {
    const answer = await remote.fetch(`${url}/metrics`, { signal: AbortSignal.timeout(patienceMillis) })
    if (!answer.ok) return undefined
    const series = (await answer.text()).matchAll(/^(\w+(?:\{[^}]*\})?) (\S+)$/gm)
    return Object.fromEntries(Array.from(series, ([, name, value]) => [name!, Number(value)]))
  } catch {
    return undefined
  }
}

/** Whether somebody without a token is answered: not about the state, which may be open by itself. */
const isOpen = (url: string): Promise<boolean> =>
  fetch(`${url}/openapi.json`, { redirect: "error", signal: AbortSignal.timeout(patienceMillis) }).then(
    ({ ok }) => ok,
    () => false
  )
