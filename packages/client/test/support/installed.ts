/** What is installed beside the workspace, for the tests of adapters. */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = new URL("../suites/node_modules/", import.meta.url)

export const isMissing = !existsSync(folder)

/** A module of it; nothing where it is not installed. */
export const load = (path: string): Promise<Record<string, unknown>> =>
  isMissing ? Promise.resolve({}) : import(/* @vite-ignore */ fileURLToPath(new URL(path, folder)))
