/**
 * Folders that a command was told to use.
 */
import { existsSync, mkdirSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { Effect, Schema } from "effect"

/** A folder cannot be made. */
export class NoFolder extends Schema.TaggedError<NoFolder>()("NoFolder", { path: Schema.String, why: Schema.String }) {
  override get message(): string {
    return `${this.path} cannot be made: ${this.why}; give another`
  }
}

/** Makes a folder and those above it, one by one: Node's own `recursive` never returns for a folder under `/proc`. */
export const make = (path: string): Effect.Effect<void, NoFolder> =>
  Effect.try({
    try: () => makeSync(path),
    catch: (error) => new NoFolder({ path, why: error instanceof Error ? error.message : String(error) })
  })

const makeSync = (path: string): void => {
  if (existsSync(path)) {
    if (!statSync(path).isDirectory()) throw new Error(`${path} is a file`)
    return
  }
  makeSync(dirname(path))
  mkdirSync(path)
}
