import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, expect, it } from "vitest"
import * as Codec from "../src/ceiling/Codec.ts"
import * as Log from "../src/ceiling/Log.ts"

let folder: string
let children: Array<ChildProcess>

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quorum-bench-test-"))
  children = []
})

const killAll = async (): Promise<void> => {
  const alive = children.filter((child) => child.exitCode === null && child.signalCode === null)
  const ended = alive.map((child) => once(child, "exit"))
  for (const child of alive) child.kill("SIGKILL")
  await Promise.all(ended)
}

afterEach(async () => {
  await killAll()
  rmSync(folder, { recursive: true, force: true })
})

const start = (script: string, config: unknown) => {
  const path = fileURLToPath(new URL(script, import.meta.url))
  const child = spawn(process.execPath, [path, JSON.stringify(config)], { stdio: ["pipe", "pipe", "inherit"] })
  children.push(child)
  return createInterface({ input: child.stdout })
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}

it("has acknowledged writes on two of three disks after kill -9 of all", async () => {
  const peers: Array<string> = []
  for (const id of ["b", "c"]) {
    const port = await freePort()
    await once(start("../src/ceiling/peer.ts", { folder: join(folder, id), port }), "line")
    peers.push(`ws://127.0.0.1:${port}`)
  }
  const acknowledged: Array<string> = []
  const lines = start("support/committer.ts", { folder: join(folder, "a"), peers })
  const closed = once(lines, "close")
  await new Promise<void>((resolve) => {
    lines.on("line", (key) => {
      acknowledged.push(key)
      if (acknowledged.length === 2000) resolve()
    })
  })
  await killAll()
  await closed

  const held = ["a", "b", "c"].map((id) => {
    const log = Log.open(join(folder, id))
    const batches = log.batches()
    log.close()
    let next = 1
    for (const { count, first } of batches) {
      expect(first).toBe(next)
      next = first + count
    }
    return new Set(batches.flatMap(Codec.keysOf))
  })
  const missing = acknowledged.filter((key) => held.filter((keys) => keys.has(key)).length < 2)
  expect(acknowledged.length).toBeGreaterThanOrEqual(2000)
  expect(missing).toEqual([])
})

it("refuses a gap, and reads back what it wrote", () => {
  const log = Log.open(folder)
  const value = new Uint8Array(3)
  const first = Codec.encodeEntries(
    [
      { key: "a", value },
      { key: "ä", value }
    ],
    1
  )
  const second = Codec.encodeEntries([{ key: "c", value }], 3)
  expect(() => log.append(second)).toThrow("a gap")
  log.append(Codec.decodeMessage(Codec.encodeMessage([first, second])))
  expect(log.head()).toBe(3)
  expect(log.batches().flatMap(Codec.keysOf)).toEqual(["a", "ä", "c"])
  log.close()
})
