/**
 * Flags that several commands have.
 */
import { resolve } from "node:path"
import { Folder, Whole } from "@quorum/server/tools"
import { Effect, FileSystem, Option, Schema } from "effect"
import { CliError, Flag } from "effect/cli"

/** What carries the protocol between the replicas. */
export const transport = <const T extends "http" | "ws">(usual: T) =>
  Flag.Literals("transport", ["http", "ws"]).pipe(
    Flag.withDescription(`What carries the protocol between the replicas: http or ws (default: ${usual})`),
    Flag.withDefault(usual)
  )

/** On what the replicas keep their logs and record indexes. */
export const store = Flag.Literals("store", ["sqlite", "lmdb"]).pipe(
  Flag.withDescription("On what the replicas keep what they hold: sqlite or lmdb (default: sqlite)"),
  Flag.withDefault("sqlite" as const)
)

/** How much is written at once. */
export const writers = (description: string, usual: number) =>
  Whole.flag("writers", 1, 8192).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(`${description} (default: ${usual})`),
    Flag.withDefault(usual)
  )

/** Where the replicas keep their files. */
export const dir = Flag.String("dir").pipe(
  Flag.withMetavar("FOLDER"),
  Flag.withDescription("Keep the replicas' files in FOLDER (default: a temporary folder that is removed at the end)"),
  Flag.optional
)

/** The folder that was asked for cannot be made. */
export class UnusableDir extends Schema.TaggedError<UnusableDir>()("UnusableDir", { detail: Schema.String }) {
  override get message(): string {
    return `--dir: ${this.detail}`
  }
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** The folder that was asked for, made where it is missing, or a temporary one. */
export const folderOf = Effect.fnUntraced(function* (dir: Option.Option<string>, prefix: string, keep = false) {
  const fs = yield* FileSystem.FileSystem
  if (Option.isNone(dir)) return yield* (keep ? fs.makeTempDirectory : fs.makeTempDirectoryScoped)({ prefix })
  const folder = resolve(dir.value)
  yield* Effect.mapError(Folder.make(folder), ({ message }) => new UnusableDir({ detail: message }))
  return folder
})
