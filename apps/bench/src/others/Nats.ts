/**
 * NATS JetStream with a stream on three servers' files, which keeps every write (a key-value bucket would be a stream that
 * keeps the last one of each key). With `sync_interval: always` a server calls fsync for every
 * write; before 2.10 there is no such setting, and fsync happens every two minutes.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import * as Child from "../Child.ts"
import * as Ports from "../Ports.ts"
import type { Config } from "./client/nats.ts"
import type { Other } from "./Other.ts"
import * as Program from "./Program.ts"

const server: Program.Package = { command: "nats-server", debianPackage: "nats-server" }

/** Three servers of NATS with JetStream. */
export const nats: Other = {
  name: "nats",
  get description() {
    const version = Program.version(server)
    return (
      `NATS JetStream ${version ?? ""}: a stream on 3 servers' files (R3), ` +
      `${canSyncAlways(version) ? "sync_interval always" : "no fsync per write (sync_interval always needs 2.10)"}; ` +
      `publish with ack to the server that leads the stream, a subject per key, from a 4th process; cpu is the client's`
    )
  },
  missing: () => Program.missing(server),
  start: Effect.fnUntraced(function* (folder, nodeFlags) {
    const command = yield* Program.find(server)
    const sync = canSyncAlways(Program.version(server)) ? { sync_interval: "always" } : {}
    const members = yield* Effect.forEach(["a", "b", "c"], (id) =>
      Effect.all({ id: Effect.succeed(id), port: Ports.free, routePort: Ports.free })
    )
    const servers = yield* Effect.forEach(
      members,
      ({ id, port, routePort }) => {
        const home = join(folder, id)
        const file = join(home, "server.conf")
        const settings = {
          server_name: id,
          listen: `127.0.0.1:${port}`,
          jetstream: { store_dir: home, ...sync },
          cluster: {
            name: "bench",
            listen: `127.0.0.1:${routePort}`,
            routes: members.map((member) => `nats-route://127.0.0.1:${member.routePort}`)
          }
        }
        mkdirSync(home, { recursive: true })
        writeFileSync(file, JSON.stringify(settings))
        const program: Program.Program = {
          name: `nats ${id}`,
          command,
          args: ["--config", file],
          folder: home
        }
        return Effect.map(Program.start(program, /Server is ready/), (pid) => ({ pid, port }))
      },
      { concurrency: "unbounded" }
    )
    const config: Config = { servers: Object.fromEntries(members.map(({ id, port }) => [id, `127.0.0.1:${port}`])) }
    return { ...(yield* Child.start("others/client/nats", config, nodeFlags)), servers }
  })
}

// ---------------------------------------------------------------------------------------------------------------------

const canSyncAlways = (version = "0.0"): boolean => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  return major > 2 || (major === 2 && minor >= 10)
}
