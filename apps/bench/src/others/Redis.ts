/**
 * Redis as durable as it gets: every server appends each write to its file and calls fsync before it answers. `WAIT 1`
 * after every SET asks that a replica has received it too, which says nothing about that replica's disk. (`WAITAOF`,
 * which does, came with Redis 7.2.)
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import * as Child from "../Child.ts"
import * as Ports from "../Ports.ts"
import type { Config } from "./client/redis.ts"
import type { Other } from "./Other.ts"
import * as Program from "./Program.ts"

const server: Program.Package = { command: "redis-server", debianPackage: "redis-server" }

/** A Redis primary with two replicas. */
export const redis: Other = {
  name: "redis",
  get description() {
    return (
      `Redis ${Program.version(server) ?? ""}: primary + 2 replicas, appendfsync always; ioredis, SET and WAIT 1 ` +
      `in one round trip (WAIT is for a replica's memory, not its disk), a connection per writer, from a 4th process; cpu is the client's`
    )
  },
  missing: () => Program.missing(server),
  start: Effect.fnUntraced(function* (folder, nodeFlags) {
    const command = yield* Program.find(server)
    const start = Effect.fnUntraced(function* (id: string, primary?: number) {
      const port = yield* Ports.free
      const home = join(folder, id)
      mkdirSync(home, { recursive: true })
      const options = {
        port,
        bind: "127.0.0.1",
        dir: home,
        appendonly: "yes",
        appendfsync: "always",
        // The append-only file is what is durable; snapshots beside it would only cost.
        save: "",
        // Do not wait five seconds for more replicas before the first one gets its copy.
        "repl-diskless-sync-delay": 0
      }
      const program: Program.Program = {
        name: `redis ${id}`,
        command,
        args: [
          ...Object.entries(options).flatMap(([option, value]) => [`--${option}`, String(value)]),
          ...(primary === undefined ? [] : ["--replicaof", `127.0.0.1 ${primary}`])
        ],
        folder: home
      }
      return { pid: yield* Program.start(program, /ready to accept connections/i), port }
    })
    const primary = yield* start("a")
    const servers = [primary, yield* start("b", primary.port), yield* start("c", primary.port)]
    const config: Config = { port: primary.port }
    return { ...(yield* Child.start("others/client/redis", config, nodeFlags)), servers }
  })
}
