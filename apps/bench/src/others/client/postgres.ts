/**
 * A client of PostgreSQL, as a process: one upsert per write, as a transaction of its own, through a pool. Writers have
 * a connection each up to 256; more writers share those, as more processes of the server would only get in each other's
 * way.
 */
import { readFileSync } from "node:fs"
import pg from "pg"
import * as Session from "./Session.ts"

/** What this process is told. */
export interface Config {
  /** The primary's. */
  readonly port: number
  readonly passwordFile: string
}

const { passwordFile, port }: Config = JSON.parse(process.argv[2]!)
const maxConnections = 256

const poolOf = (max: number): pg.Pool =>
  new pg.Pool({
    host: "127.0.0.1",
    port,
    user: "postgres",
    database: "postgres",
    password: readFileSync(passwordFile, "utf8"),
    max
  })

const upsert = {
  name: "upsert",
  text: "INSERT INTO record (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
}

const primary = poolOf(1)
await Session.eventually(async () => {
  const { rowCount } = await primary.query(
    "SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'quorum'"
  )
  if (rowCount !== 2) throw new Error(`${rowCount} of 2 standbys are streaming`)
})
await primary.query("CREATE TABLE record (key text PRIMARY KEY, value bytea NOT NULL)")
await primary.end()

Session.serve(async ({ writers }) => {
  const connections = Math.min(writers, maxConnections)
  const pool = poolOf(connections)
  const clients = await Promise.all(Array.from({ length: connections }, () => pool.connect()))
  for (const client of clients) client.release()
  return {
    write: (key, value) => pool.query({ ...upsert, values: [key, value] }),
    close: () => pool.end()
  }
})
