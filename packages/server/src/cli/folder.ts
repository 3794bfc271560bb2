/**
 * `quorum doctor --data`: the folder of a replica that does not run.
 */
import { ReplicaStore } from "@quorum/core/adapter"
import { SqliteInspection } from "@quorum/sqlite"
import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from "node:fs"
import { join, resolve } from "node:path"
import { Console, Effect, Option, Predicate, Result } from "effect"
import { Flag } from "effect/cli"
import type * as Doctor from "../Doctor.ts"
import * as FolderDoctor from "../FolderDoctor.ts"
import type * as ServerConfig from "../ServerConfig.ts"
import * as Table from "../tools/Table.ts"
import * as Text from "../tools/Text.ts"
import { Ended, Usage } from "./Ending.ts"
import * as Serve from "./serve.ts"

/** What says that a folder is meant. */
export const flags = {
  data: Flag.String("data").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("Look at the folder of a replica that is stopped, instead of asking those that run"),
    Flag.optional
  ),
  config: Flag.String("config").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "The settings of that replica: its folder where --data is not given, and what is wrong with them"
    ),
    Flag.optional
  ),
  sync: Flag.Boolean("sync").pipe(
    Flag.withDescription("Measure a sync as well, with a small file in the folder that is removed again"),
    Flag.withDefault(false)
  )
}

/** What those were given. */
export interface Given {
  readonly data: Option.Option<string>
  readonly config: Option.Option<string>
  readonly sync: boolean
  readonly json: boolean
}

/** Why a folder cannot be looked at, which need not be that there is none: it is for one user alone. */
export const noFolder = (folder: string, error: unknown): string =>
  Predicate.hasProperty(error, "code") && error.code === "EACCES"
    ? `--data: this user may not look at ${folder}; run as the one whose it is`
    : `--data: there is no ${folder}`

/** Looks at it, and says what is wrong. */
export const examine = Effect.fnUntraced(function* ({ config, data, json, sync }: Given) {
  const read = Option.isSome(config) ? yield* settingsOf(config.value, Option.getOrUndefined(data)) : undefined
  const folder = resolve(Option.getOrUndefined(data) ?? read?.data ?? "")
  yield* Effect.try({ try: () => statSync(folder), catch: (error) => new Usage({ detail: noFolder(folder, error) }) })
  const found = yield* Effect.map(Effect.result(inspect(folder)), Result.merge)
  const { bavail, blocks, bsize } = statfsSync(folder)
  const view: FolderDoctor.FolderView = {
    folder,
    found,
    disk: { freeBytes: bavail * bsize, sizeBytes: blocks * bsize },
    mode: statSync(folder).mode,
    ...(sync ? { syncMillis: yield* measured(folder) } : {}),
    ...(read === undefined ? {} : { settings: read })
  }
  const findings = FolderDoctor.examine(view)
  yield* Console.log(json ? JSON.stringify(jsonOf(view, findings), null, 2) : textOf(view, findings))
  if (findings.some(({ level }) => level === "problem")) return yield* new Ended({ code: 1 })
})

// ---------------------------------------------------------------------------------------------------------------------

/** By the package of the store that is in it. */
const inspect = (folder: string) =>
  existsSync(join(folder, "log.mdb"))
    ? Effect.flatMap(lmdb, ({ LmdbInspection }) => LmdbInspection.inspect({ folder }))
    : SqliteInspection.inspect({ folder })

/** Loaded when it is needed: its binaries are not there for every platform. */
const lmdb = Effect.tryPromise({
  try: () => import("@quorum/lmdb"),
  catch: (cause) =>
    new ReplicaStore.StoreError({
      reason: "unavailable",
      detail: "the folder is of LMDB, and @quorum/lmdb cannot be loaded; npm install @quorum/lmdb",
      cause
    })
})

/** The settings in a file, or what is wrong with them. */
const settingsOf = Effect.fnUntraced(function* (file: string, data: string | undefined) {
  const config = yield* Effect.result(Serve.configOf(file, data === undefined ? {} : { data }))
  if (Result.isSuccess(config)) return { ...config.success, problems: [] }
  if (config.failure._tag === "Usage" || data === undefined) return yield* config.failure
  const { problems }: ServerConfig.InvalidConfig = config.failure
  return { problems, data }
})

/** How long the sync of a page takes: the median of a few, in milliseconds. */
const measured = (folder: string): Effect.Effect<number, Usage> =>
  Effect.try({
    try: () => {
      const file = join(folder, `sync-${process.pid}`)
      const descriptor = openSync(file, "wx", 0o600)
      try {
        const times = Array.from({ length: 9 }, () => {
          writeSync(descriptor, new Uint8Array(4096))
          const startedAt = performance.now()
          fsyncSync(descriptor)
          return performance.now() - startedAt
        })
        return times.sort((a, b) => a - b)[4]!
      } finally {
        closeSync(descriptor)
        rmSync(file)
      }
    },
    catch: (error) => new Usage({ detail: `--sync: ${error instanceof Error ? error.message : String(error)}` })
  })

const jsonOf = (
  { disk, folder, found, syncMillis }: FolderDoctor.FolderView,
  findings: ReadonlyArray<Doctor.Finding>
) => ({
  folder,
  ...("identity" in found ? found : { error: found.reason }),
  disk,
  ...(syncMillis === undefined ? {} : { syncMillis }),
  findings
})

const textOf = (view: FolderDoctor.FolderView, findings: ReadonlyArray<Doctor.Finding>): string => {
  const lines = "identity" in view.found ? [...factsOf(view, view.found), ""] : []
  if (findings.length === 0) return [...lines, "nothing is wrong with it"].join("\n")
  const rows = findings.map(({ level, remedy, what }) => [level, what, remedy])
  return [...lines, ...Table.lines(["level", "what", "what to do"], rows)].join("\n")
}

const factsOf = (
  { disk, folder, syncMillis }: FolderDoctor.FolderView,
  { identity, index, logs }: Exclude<FolderDoctor.FolderView["found"], ReplicaStore.StoreError>
): ReadonlyArray<string> => {
  const rows = logs.map(({ damaged, log, seq }) => [
    log,
    Text.number(seq),
    Text.number(damaged.reduce((sum, { from, to }) => sum + to - from + 1, 0))
  ])
  const sync = syncMillis === undefined ? "" : `; a sync takes ${syncMillis.toFixed(1)} ms`
  return [
    `replica ${identity.replica} of ${identity.cluster}, incarnation ${identity.incarnation}, in ${folder}`,
    ...Table.lines(["log", " entries", " damaged"], rows),
    `record index: ${index.state === "usable" ? `${Text.number(index.behind)} entries behind the logs` : index.state}`,
    `disk: ${Text.bytes(disk.freeBytes)} free of ${Text.bytes(disk.sizeBytes)}${sync}`
  ]
}
