/**
 * What is measured. Each system starts its processes in a folder of its own, and says which of them to ask.
 */
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import * as Child from "./Child.ts"
import * as Ports from "./Ports.ts"
import type { Config } from "./replica.ts"

/** Something that commits writes on two of three replicas. */
export interface System {
  readonly name: string
  readonly description: string
  /** Starts it. `nodeFlags` are for the process that commits. */
  readonly start: (
    folder: string,
    nodeFlags: ReadonlyArray<string>
  ) => Effect.Effect<Child.Child, Child.ProcessFailed, Scope.Scope>
}

/** The system that the others are compared with. */
export const ceiling: System = {
  name: "ceiling",
  description: "raw ws + node:sqlite, log only, no checksums, no index; 3 processes, loop in one of them",
  start: Effect.fnUntraced(function* (folder, nodeFlags) {
    const peers: Array<string> = []
    for (const id of ["b", "c"]) {
      const port = yield* Ports.free
      yield* Child.start("ceiling/peer", { folder: join(folder, id), port })
      peers.push(`ws://127.0.0.1:${port}`)
    }
    return yield* Child.start("ceiling/writer", { folder: join(folder, "a"), peers }, nodeFlags)
  })
}

/** Three replica processes; the last one to start is the one that is asked. */
const replicas = Effect.fnUntraced(function* (
  folder: string,
  transport: Config["transport"],
  nodeFlags: ReadonlyArray<string>,
  index: Config["index"] = "sqlite"
) {
  const ports = { a: yield* Ports.free, b: yield* Ports.free, c: yield* Ports.free }
  const start = (id: keyof typeof ports, flags: ReadonlyArray<string>) =>
    Child.start("replica", { id, folder: join(folder, id), transport, index, ports } satisfies Config, flags)
  yield* start("b", [])
  yield* start("c", [])
  return { child: yield* start("a", nodeFlags), url: `http://127.0.0.1:${ports.a}` }
})

const overTransport = (transport: Config["transport"]): System => ({
  name: transport,
  description: `Quorum over ${transport} + @quorum/sqlite; 3 processes, loop in one of them, on its QuorumWriter`,
  start: (folder, nodeFlags) => Effect.map(replicas(folder, transport, nodeFlags), ({ child }) => child)
})

/** What is measured unless something else is asked for, the ceiling first. */
export const usual: ReadonlyArray<System> = [
  ceiling,
  overTransport("ws"),
  overTransport("http"),
  {
    name: "core",
    description: "core alone: 3 replicas in one process, store, index and transport in memory, nothing durable",
    start: (_, nodeFlags) => Child.start("core", {}, nodeFlags)
  },
  {
    name: "client",
    description: "PUT through the HTTP client API from a 4th process (undici), replicas over ws; cpu is the client's",
    start: Effect.fnUntraced(function* (folder, nodeFlags) {
      const { url } = yield* replicas(folder, "ws", nodeFlags)
      return yield* Child.start("client", { url })
    })
  }
]

/** All systems: the usual ones, and variants that show what a part costs. */
export const all: ReadonlyArray<System> = [
  ...usual,
  {
    name: "ws-memory-index",
    description: "as ws, with the record index in memory: what the index in SQLite costs",
    start: (folder, nodeFlags) => Effect.map(replicas(folder, "ws", nodeFlags, "memory"), ({ child }) => child)
  }
]
