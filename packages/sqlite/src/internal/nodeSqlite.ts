/**
 * `node:sqlite`, or a word about what is missing.
 */

import type * as NodeSqlite from "node:sqlite"

/** What this package needs of Node. */
const needed = "22.19"

const load = (): typeof NodeSqlite => {
  // A static import would fail with the name of a module that its reader has never heard of.
  const found = process.getBuiltinModule?.("node:sqlite")
  if (found !== undefined) return found
  throw new Error(`@quorum/sqlite needs Node ${needed} or newer, which has SQLite built in; this is ${process.version}`)
}

/** Opens a database. */
export const { DatabaseSync } = load()
/** A database that is open. */
export type DatabaseSync = NodeSqlite.DatabaseSync
/** A prepared statement. */
export type StatementSync = NodeSqlite.StatementSync
