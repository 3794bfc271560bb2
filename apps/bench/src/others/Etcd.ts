/**
 * etcd as it comes: every member writes its log with fsync before it counts (`--unsafe-no-fsync` exists, and is not
 * used). All writes go to the member that leads, which is the best case: the client's own default, any member, makes two
 * of three members pass the write on.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import * as Child from "../Child.ts"
import * as Ports from "../Ports.ts"
import type { Config } from "./client/etcd.ts"
import type { Other } from "./Other.ts"
import * as Program from "./Program.ts"

const server: Program.Package = { command: "etcd", debianPackage: "etcd-server" }

/** Three members of etcd. */
export const etcd: Other = {
  name: "etcd",
  get description() {
    return (
      `etcd ${Program.version(server) ?? ""}: 3 members, fsync before a member counts; ` +
      `etcd3 puts to the one that leads, from a 4th process; cpu is the client's`
    )
  },
  missing: () => Program.missing(server),
  start: Effect.fnUntraced(function* (folder, nodeFlags) {
    const command = yield* Program.find(server)
    mkdirSync(folder, { recursive: true })
    const members = yield* Effect.forEach(["a", "b", "c"], (id) =>
      Effect.all({ id: Effect.succeed(id), port: Ports.free, peerPort: Ports.free })
    )
    const url = (port: number) => `http://127.0.0.1:${port}`
    const servers = yield* Effect.forEach(
      members,
      ({ id, peerPort, port }) => {
        const options = {
          name: id,
          "data-dir": join(folder, id),
          "listen-client-urls": url(port),
          "advertise-client-urls": url(port),
          "listen-peer-urls": url(peerPort),
          "initial-advertise-peer-urls": url(peerPort),
          "initial-cluster": members.map((member) => `${member.id}=${url(member.peerPort)}`).join(","),
          "initial-cluster-state": "new"
        }
        const program: Program.Program = {
          name: `etcd ${id}`,
          command,
          args: Object.entries(options).map(([option, value]) => `--${option}=${value}`),
          folder
        }
        return Effect.map(Program.start(program, /ready to serve client requests/), (pid) => ({ pid, port }))
      },
      { concurrency: "unbounded" }
    )
    const config: Config = { hosts: servers.map(({ port }) => url(port)) }
    return { ...(yield* Child.start("others/client/etcd", config, nodeFlags)), servers }
  })
}
