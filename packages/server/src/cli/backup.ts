/**
 * `quorum backup` and `quorum restore`.
 */
import { Backup, ReplicaSet } from "@quorum/core"
import { closeSync, createWriteStream, openSync } from "node:fs"
import { rm, statfs } from "node:fs/promises"
import { dirname } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { Console, Effect, FileSystem, Layer, Option, type PlatformError } from "effect"
import { Argument, Command } from "effect/cli"
import * as BackupRoute from "../BackupRoute.ts"
import * as Server from "../Server.ts"
import * as NewFile from "../tools/NewFile.ts"
import * as Progress from "../tools/Progress.ts"
import * as Text from "../tools/Text.ts"
import { Failed, leaving, Usage } from "./Ending.ts"
import * as Flags from "./flags.ts"
import * as Remote from "./remote.ts"
import * as Serve from "./serve.ts"

const file = Argument.String("file").pipe(Argument.withDescription("The file of the backup"))

/** `quorum backup`. */
export const backup = Command.make(
  "backup",
  { file, ...Remote.flags },
  Effect.fnUntraced(
    function* ({ file, ...given }) {
      const fs = yield* FileSystem.FileSystem
      yield* named(file)
      if (yield* Effect.orElseSucceed(fs.exists(file), () => false)) {
        return yield* new Usage({ detail: `file: ${file} is there already; give another name` })
      }
      const remote = yield* Remote.connect(given)
      const part = NewFile.partOf(file)
      yield* Effect.acquireRelease(
        Effect.try({
          try: () => closeSync(openSync(part, "wx", 0o600)),
          catch: (error) => new Usage({ detail: `file: ${Remote.messageOf(error)}` })
        }),
        () => Effect.promise(() => rm(part, { force: true }))
      )
      const { finish, step } = yield* Progress.Progress
      const onBytes = (done: number, all: number | undefined): void => {
        if (!given.json) Effect.runSync(step("backup", done, all, "bytes"))
      }
      // What has come is read to its end, so that a file that has the name can be restored.
      const summary = yield* Remote.ask(given, (signal) => fetchInto(remote, given, part, onBytes, signal)).pipe(
        Effect.ensuring(finish),
        Effect.andThen(Effect.mapError(Backup.verify(part), (error) => new Failed({ detail: error.message }))),
        leaving(given.json, Effect.succeed({ message: `there is no ${Progress.printable(file)}`, file }))
      )
      yield* Effect.try({
        try: () => NewFile.take(part, file),
        catch: (error) => new Failed({ detail: Remote.messageOf(error) })
      })
      const { check, cluster, entries, replica, takenAt } = summary
      yield* Console.log(
        given.json
          ? JSON.stringify({ file, cluster, replica, takenAt, entries, check })
          : `${Text.number(entries)} entries of ${cluster}, as ${replica} held them at ${new Date(takenAt).toISOString()}, are in ${file}`
      )
    },
    Effect.scoped,
    Effect.provide(Progress.layer(process.stderr))
  )
).pipe(
  Command.withDescription(
    "Takes a backup of a replica that runs: all that it durably holds at this moment. The file is read to its end before it " +
      "gets its name. The replica needs as much room on its disk meanwhile as its logs have."
  ),
  Command.withShortDescription("Takes a backup of a replica that runs"),
  Command.withExamples([{ command: "quorum backup quorum.backup", description: "Of the first replica that answers" }])
)

const { cluster, data, id, store } = Flags.settingFlags

/** `quorum restore`. */
export const restore = Command.make(
  "restore",
  { file, ...Serve.configFile, id, data, cluster, store, json: Flags.json },
  Effect.fnUntraced(
    function* ({ config: configFile, file, json, ...given }) {
      yield* named(file)
      // Before the folder is made, and is a store.
      const { access } = yield* FileSystem.FileSystem
      yield* Effect.mapError(access(file, { readable: true }), (error) => unreadable(file, error))
      const config = yield* Serve.configOf(Option.getOrUndefined(configFile), Flags.givenOf(given), { serves: false })
      const { finish, step } = yield* Progress.Progress
      const layer = Server.storeOf(config).pipe(
        Layer.provide(ReplicaSet.layer({ cluster: config.cluster, self: config.id, members: config.members }))
      )
      const summary = yield* Backup.restore(file, (done, all) => {
        if (!json) Effect.runSync(step("restore", done, all, "entries"))
      }).pipe(
        Effect.provide(layer),
        Effect.mapError((error) => {
          if (error._tag === "Unusable") return error
          return error._tag === "PlatformError" ? unreadable(file, error) : new Failed({ detail: error.message })
        }),
        leaving(
          json,
          Effect.as(finish, {
            message: `a part of it may be in ${config.data}, on which no replica starts; the same command completes it`,
            folder: config.data
          })
        )
      )
      yield* finish
      const { check, entries, replica, takenAt } = summary
      yield* Console.log(
        json
          ? JSON.stringify({ file, folder: config.data, cluster: summary.cluster, replica, takenAt, entries, check })
          : `${Text.number(entries)} entries, as ${replica} held them at ${new Date(takenAt).toISOString()}, are in ${config.data}`
      )
    },
    Effect.provide(Progress.layer(process.stderr))
  )
).pipe(
  Command.withDescription(
    "Fills the empty folder of a replica that does not run from a backup. Where other replicas of the set are alive, this one " +
      "recovers from them: nothing is rolled back. Where all are lost, restore the same file at every replica before the first " +
      "of them starts; what was acknowledged after the backup is lost then. Replicas with different files do not begin."
  ),
  Command.withShortDescription("Fills an empty folder from a backup"),
  Command.withExamples([
    {
      command: "quorum restore quorum.backup --config /etc/quorum/quorum.json",
      description: "As the replica is configured"
    },
    { command: "quorum restore quorum.backup --id a --data ./a", description: "By flags" }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------

/** A file that were called so would surprise whoever meant a pipe. */
const named = (file: string) =>
  file === "-" || file === ""
    ? new Usage({ detail: "file: give a name; a backup is read to its end before it is used, and no pipe can be" })
    : Effect.void

const unreadable = (file: string, { reason }: PlatformError.PlatformError) => {
  const why = reason._tag === "NotFound" ? "there is no such file" : `it cannot be read (${reason._tag})`
  return new Usage({ detail: `file: ${file}: ${why}` })
}

/** Takes it from the first replica that has one to give, and says how many bytes have come, of how many. */
const fetchInto = async (
  remote: Remote.Remote,
  given: Remote.Given,
  part: string,
  onBytes: (done: number, all: number | undefined) => void,
  signal: AbortSignal
): Promise<void> => {
  let last: unknown
  for (const url of remote.urls) {
    try {
      // It may take long to answer, and whoever does not answer at all is not waited for so long.
      const limited = AbortSignal.any([signal, AbortSignal.timeout(Remote.firstMillis(given))])
      await (await remote.fetch(`${url}/healthz`, { signal: limited })).body?.cancel()
      const answer = await remote.fetch(`${url}${BackupRoute.path}`, { signal })
      if (!answer.ok) throw await Remote.answered(answer, url)
      const all = lengthOf(answer)
      const { bavail, bsize } = await statfs(dirname(part))
      if (all !== undefined && bavail * bsize < all) {
        await answer.body?.cancel()
        throw new Error(
          `it has ${all} bytes, and the disk of ${part} has ${bavail * bsize}; make room, or give another`
        )
      }
      let done = 0
      const counted = async function* (pieces: AsyncIterable<Uint8Array>) {
        for await (const piece of pieces) {
          onBytes((done += piece.length), all)
          yield piece
        }
      }
      await pipeline(Readable.fromWeb(answer.body as never), counted, createWriteStream(part, { flush: true }), {
        signal
      })
      return
    } catch (error) {
      if (signal.aborted) throw error
      last = Remote.unanswered(url, error)
    }
  }
  throw last
}

/** How long the body of an answer is. A proxy may leave that out, or pack the body and say how long that is. */
const lengthOf = ({ headers }: Response): number | undefined => {
  const length = headers.get("content-length")
  return length === null || headers.has("content-encoding") ? undefined : Number(length)
}
