import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Effect } from "effect"
import { Etcd3 } from "etcd3"
import { Redis } from "ioredis"
import pg from "pg"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import * as Others from "../src/others/Others.ts"

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quorum-bench-test-"))
})

afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

/** Waits, within bounds, for what servers do behind a write. */
const eventually = <A>(read: () => Promise<A>): Promise<NonNullable<A>> =>
  vi.waitFor(async () => (await read()) ?? expect.fail("nothing is there yet"), { timeout: 40_000, interval: 100 })

type Read = (servers: ReadonlyArray<Others.Server>) => Promise<Uint8Array>

/** How to read a value of some key from another server than the one that took the write. */
const readers: Record<string, Read> = {
  etcd: async ([, second]) => {
    const client = new Etcd3({
      hosts: `http://127.0.0.1:${second!.port}`,
      grpcOptions: { "grpc.enable_http_proxy": 0 }
    })
    // Serializable reads are answered by the member that is asked, from what it has itself.
    const value = await eventually(async () => {
      const values = await client.getAll().prefix("key-").limit(1).serializable(true).buffers()
      return Object.values(values)[0]
    })
    client.close()
    return value
  },
  postgres: async ([, second]) => {
    const password = readFileSync(join(folder, "password"), "utf8")
    const client = new pg.Client({ host: "127.0.0.1", port: second!.port, user: "postgres", password })
    await client.connect()
    const value = await eventually(async () => {
      const { rows } = await client.query("SELECT value FROM record WHERE pg_is_in_recovery() LIMIT 1")
      return rows[0]?.value
    })
    await client.end()
    return value
  },
  redis: async ([, second]) => {
    const client = new Redis({ host: "127.0.0.1", port: second!.port })
    const key = await eventually(() => client.randomkey())
    const value = await eventually(() => client.getBuffer(key))
    client.disconnect()
    return value
  },
  // Reads of a stream are answered by the server that leads it: kill that one, and ask those that are left.
  nats: async (servers) => {
    const ports = servers.map(({ port }) => `127.0.0.1:${port}`)
    const connection = await connect({ servers: ports })
    const manager = await jetstreamManager(connection)
    const { cluster } = await manager.streams.info("bench")
    await connection.close()
    const leader = ["a", "b", "c"].indexOf(cluster!.leader!)
    process.kill(servers[leader]!.pid, "SIGKILL")
    const left = await connect({ servers: ports.toSpliced(leader, 1), ignoreClusterUpdates: true })
    const message = await eventually(async () =>
      (await jetstreamManager(left, { checkAPI: false })).streams.getMessage("bench", { seq: 1 })
    )
    await left.close()
    return message.data
  }
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe.each(Others.all.map((other) => [other.name, other] as const))("%s", (name, other) => {
  it("writes to two of three real servers, and leaves none of them behind", { timeout: 120_000 }, async ({ skip }) => {
    const missing = other.missing()
    skip(missing !== undefined, missing)

    const { pids, sample, value } = await Effect.gen(function* () {
      const { measure, pid, servers } = yield* other.start(folder, [])
      const pids = [pid, ...servers.map((server) => server.pid)]
      expect(pids.filter(isAlive)).toHaveLength(4)
      const sample = yield* measure({ writers: 4, warmup: 0, seconds: 0.5, valueBytes: 5, keys: 100 })
      const value = yield* Effect.promise(() => readers[name]!(servers))
      return { pids, sample, value }
    }).pipe(Effect.scoped, Effect.runPromise)

    expect(sample).toMatchObject({ failed: 0 })
    expect(sample.writes).toBeGreaterThan(0)
    expect(String(Buffer.from(value))).toBe("xxxxx")
    expect(pids.filter(isAlive)).toEqual([])
  })
})

describe.each([
  ["etcd", ["local", "linearizable"]],
  ["redis", ["local"]]
] as const)("reads of %s", (name, kinds) => {
  it("find every key that was written first", { timeout: 120_000 }, async ({ skip }) => {
    const other = Others.all.find((other) => other.name === name)!
    const missing = other.missing()
    skip(missing !== undefined, missing)

    const run = { writers: 4, warmup: 0, seconds: 0.5, valueBytes: 5, keys: 250 }
    const samples = await Effect.gen(function* () {
      const { measure } = yield* other.start(folder, [])
      return yield* Effect.forEach(kinds, (reads) => measure({ ...run, reads }))
    }).pipe(Effect.scoped, Effect.runPromise)

    for (const { failed, failure, writes } of samples) {
      expect({ failed, failure }).toEqual({ failed: 0, failure: undefined })
      expect(writes).toBeGreaterThan(250)
    }
  })
})

it("says what is not installed, and what to do about it", async () => {
  vi.stubEnv("PATH", folder)
  const etcd = Others.all.find(({ name }) => name === "etcd")!
  const remedy = "etcd is not installed: apt-get install etcd-server"
  expect(etcd.missing()).toBe(remedy)
  const failure = await etcd.start(folder, []).pipe(Effect.flip, Effect.scoped, Effect.runPromise)
  expect(failure.message).toContain(remedy)
})
