/**
 * Quorum in its variants, and the ceiling, as systems.
 */
import { join } from "node:path"
import { Effect } from "effect"
import * as Child from "./Child.ts"
import * as Ports from "./Ports.ts"
import * as Replicas from "./Replicas.ts"
import type { System } from "./System.ts"

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

/** A replica set; the loop runs in one of its processes. A measurement ends when all replicas are at rest. */
export const quorum = (
  name: string,
  description: string,
  options: Pick<Replicas.Options, "transport" | "store" | "index" | "n" | "w" | "order" | "secret" | "waiting">
): System => ({
  name,
  description,
  start: Effect.fnUntraced(function* (folder, nodeFlags) {
    const replicas = yield* Replicas.make({ ...options, folder, nodeFlags })
    const { measure } = yield* Replicas.startAll(replicas)
    return { measure: (run) => Effect.tap(measure(run), () => Replicas.compacted(replicas)) }
  })
})

/** Three replicas over WebSocket, W = 2: what the goals are about. */
export const ws = quorum(
  "ws",
  "Quorum over ws, on @quorum/sqlite unless --store says otherwise; 3 processes, loop in one of them, on its QuorumWriter",
  Replicas.usual
)

/** The same between members that prove who they are. */
export const wsSecret = quorum("ws-secret", "as ws, between members that share a secret: what its codes cost", {
  ...Replicas.usual,
  secret: true
})

/** The same over HTTP. */
export const http = quorum("http", "as ws, over HTTP", { ...Replicas.usual, transport: "http" })

/** The same on the other durable store. */
export const wsLmdb = quorum("ws-lmdb", "as ws, on @quorum/lmdb", { ...Replicas.usual, store: "lmdb" })

/** The same on a log that no store can be faster than. */
export const wsFile = quorum(
  "ws-file",
  "as ws, with the log in a file of zeros that is synced and never read: no store, but a bound for one",
  { ...Replicas.usual, store: "file" }
)

/** The same with the index in memory. */
export const wsMemoryIndex = quorum(
  "ws-memory-index",
  "as ws, with the record index in memory: what the index in SQLite costs",
  { ...Replicas.usual, index: "memory" }
)

/** The same without asking a majority before a write is stamped. */
export const wsClock = quorum("ws-clock", "as ws, with writes ordered by clocks: what the order of real time costs", {
  ...Replicas.usual,
  order: "clock"
})

/** No disk and no sockets. */
export const core: System = {
  name: "core",
  description: "core alone: 3 replicas in one process, store, index and transport in memory, nothing durable",
  start: (_, nodeFlags) => Child.start("core", {}, nodeFlags)
}

/** The same without a fiber for every write that waits. */
export const coreCalls: System = {
  name: "core-calls",
  description: "as core, with functions that are called with the outcome instead of a fiber per writer",
  start: (_, nodeFlags) => Child.start("core", { waiting: "calls" }, nodeFlags)
}

/** The same with real processes. */
export const wsCalls = quorum(
  "ws-calls",
  "as ws, with functions that are called with the outcome instead of a fiber per writer",
  { ...Replicas.usual, waiting: "calls" }
)

/** From another process. */
export const client: System = {
  name: "client",
  description: "PUT through the HTTP client API from a 4th process (undici), replicas over ws; cpu is the client's",
  start: Effect.fnUntraced(function* (folder, nodeFlags) {
    const replicas = yield* Replicas.make({ ...Replicas.usual, folder, nodeFlags })
    yield* Replicas.startAll(replicas)
    const { measure } = yield* Child.start("client", { url: replicas[0]!.url })
    return { measure: (run) => Effect.tap(measure(run), () => Replicas.compacted(replicas)) }
  })
}

/** The same through the client for plain promises, which stamps every write first. */
export const gathering: System = {
  name: "client-promises",
  description:
    "put of @quorum/client from a 4th process: every write has a stamp first and may be repeated anywhere, " +
    "writers share requests; replicas over ws; cpu is the client's",
  start: Effect.fnUntraced(function* (folder, nodeFlags) {
    const replicas = yield* Replicas.make({ ...Replicas.usual, folder, nodeFlags })
    yield* Replicas.startAll(replicas)
    // One replica, as the loop of the others is at one.
    const { measure } = yield* Child.start("gathering", { urls: [replicas[0]!.url] })
    return { measure: (run) => Effect.tap(measure(run), () => Replicas.compacted(replicas)) }
  })
}

/** All of these. */
export const all: ReadonlyArray<System> = [
  ceiling,
  ws,
  wsLmdb,
  http,
  core,
  client,
  gathering,
  wsFile,
  wsMemoryIndex,
  wsClock,
  wsSecret,
  wsCalls,
  coreCalls
]
