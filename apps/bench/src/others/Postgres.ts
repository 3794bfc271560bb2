/**
 * PostgreSQL with two standbys, of which any one has to have a commit on its disk before it is answered: `fsync` and
 * `synchronous_commit` on, `synchronous_standby_names = 'ANY 1 (b, c)'`. All else is as it comes, except for room for
 * 256 connections.
 */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Effect } from "effect"
import * as Child from "../Child.ts"
import * as Ports from "../Ports.ts"
import type { Config } from "./client/postgres.ts"
import type { Other } from "./Other.ts"
import * as Program from "./Program.ts"

/** A PostgreSQL primary with two standbys. */
export const postgres: Other = {
  name: "postgres",
  get description() {
    return (
      `PostgreSQL ${Program.version(part("postgres")) ?? ""}: primary + 2 standbys, fsync, ` +
      `synchronous_commit on, ANY 1; pg, upserts by prepared statement, up to 256 connections, from a 4th process; cpu is the client's`
    )
  },
  missing: () =>
    ["postgres", "initdb", "pg_basebackup"].map((command) => Program.missing(part(command))).find(Boolean) ??
    (runsAsRoot ? barred() : undefined),
  start: Effect.fnUntraced(function* (folder, nodeFlags) {
    const user = runsAsRoot ? packageUser() : undefined
    const password = randomBytes(16).toString("hex")
    const passwordFile = join(folder, "password")
    mkdirSync(folder, { recursive: true })
    writeFileSync(passwordFile, password, { mode: 0o600 })
    if (user !== undefined) {
      for (const path of [folder, passwordFile]) chownSync(path, user.uid, user.gid)
      // A temporary folder of root's may not be passed through by others.
      const parent = dirname(folder)
      chmodSync(parent, statSync(parent).mode | 0o001)
    }
    const program = Effect.fnUntraced(function* (name: string, args: ReadonlyArray<string>, id = "") {
      return {
        name: `${name} ${id}`.trimEnd(),
        command: yield* Program.find(part(name)),
        args,
        folder,
        // All of them find the password here, the standbys for their connection to the primary too.
        env: { LC_ALL: "C", PGPASSWORD: password },
        user,
        // Ends at once; SIGTERM would wait for connections to close.
        endSignal: "SIGINT"
      } satisfies Program.Program
    })
    const start = Effect.fnUntraced(function* (id: string, port: number, options: Record<string, string>) {
      const all = {
        port: String(port),
        listen_addresses: "127.0.0.1",
        unix_socket_directories: "",
        max_connections: "300",
        fsync: "on",
        synchronous_commit: "on",
        ...options
      }
      const args = ["-D", join(folder, id), ...Object.entries(all).flatMap(([key, value]) => ["-c", `${key}=${value}`])]
      return { pid: yield* Program.start(yield* program("postgres", args, id), /ready to accept/), port }
    })

    const primaryPort = yield* Ports.free
    const login = ["--username=postgres", "--auth=scram-sha-256", `--pwfile=${passwordFile}`]
    const initdb = ["-D", join(folder, "a"), ...login, "--encoding=UTF8", "--locale=C", "--no-sync"]
    yield* Program.run(yield* program("initdb", initdb))
    const primary = yield* start("a", primaryPort, {
      synchronous_standby_names: "ANY 1 (b, c)",
      // The copy for one standby begins with a checkpoint, which removes what the other's copy still has to stream.
      wal_keep_size: "512MB"
    })
    const standbys = yield* Effect.forEach(
      ["b", "c"],
      Effect.fnUntraced(function* (id) {
        const conninfo = `host=127.0.0.1 port=${primaryPort} user=postgres application_name=${id}`
        const home = join(folder, id)
        const args = ["-D", home, "-d", conninfo, "--checkpoint=fast", "--write-recovery-conf", "--no-sync"]
        yield* Program.run(yield* program("pg_basebackup", args, id))
        return yield* start(id, yield* Ports.free, { primary_conninfo: conninfo })
      }),
      { concurrency: "unbounded" }
    )
    const config: Config = { port: primaryPort, passwordFile }
    const child = yield* Child.start("others/client/postgres", config, nodeFlags)
    return { ...child, servers: [primary, ...standbys] }
  })
}

// ---------------------------------------------------------------------------------------------------------------------

const runsAsRoot = process.getuid?.() === 0

/** One of the programs of PostgreSQL. */
const part = (command: string): Program.Package => ({
  command,
  debianPackage: "postgresql",
  folders: programFolders()
})

/** Where Debian puts the programs, newest version first. */
const programFolders = (): ReadonlyArray<string> => {
  const versions = "/usr/lib/postgresql"
  if (!existsSync(versions)) return []
  return readdirSync(versions)
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => join(versions, version, "bin"))
}

/** Why the package's user cannot take root's place; undefined when it can. */
const barred = (): string | undefined => {
  if (packageUser() === undefined) {
    return "postgres does not run as root, and its package's user `postgres` is not there: run as another user"
  }
  for (let folder = tmpdir(); folder !== dirname(folder); folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) {
      return `postgres does not run as root, and its package's user cannot pass through ${folder}: set TMPDIR`
    }
  }
  return undefined
}

/** The user that the package makes. */
const packageUser = (): Program.Program["user"] => {
  const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { stdio: ["ignore", "pipe", "ignore"] }))
  try {
    return { uid: id("-u"), gid: id("-g") }
  } catch {
    return undefined
  }
}
