/**
 * Files that have their name when they are whole. Each has a name of its own until then, so that of two commands that
 * write the same one at once neither writes into the other's.
 */
import { randomBytes } from "node:crypto"
import { closeSync, fsyncSync, openSync, renameSync } from "node:fs"
import { dirname } from "node:path"

/** Another name beside a file. */
export const partOf = (path: string): string => `${path}.${randomBytes(4).toString("hex")}.part`

/** Gives a synced file its name, so that it has it after a loss of power too. */
export const take = (part: string, path: string): void => {
  renameSync(part, path)
  const folder = folderOf(dirname(path))
  if (folder === undefined) return
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Undefined where folders cannot be opened, or not by this user: the name is as durable there as it gets. */
const folderOf = (path: string): number | undefined => {
  try {
    return openSync(path, "r")
  } catch {
    return undefined
  }
}
