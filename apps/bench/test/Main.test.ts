import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, expect, it } from "vitest"
import * as Clients from "../src/parts/Clients.ts"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quorum-bench-test-"))
  mkdirSync(join(folder, "tmp"))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

const start = (...flags: ReadonlyArray<string>) =>
  spawn(process.execPath, [main, ...flags], {
    env: { ...process.env, TMPDIR: join(folder, "tmp") },
    stdio: ["ignore", "pipe", "pipe"]
  })

/** The processes that were told of the folder. */
const left = (): ReadonlyArray<string> =>
  execFileSync("ps", ["-eo", "args"], { encoding: "utf8" })
    .split("\n")
    .filter((args) => args.includes(join(folder, "tmp")))

it("measures, and writes tables, samples and charts", { timeout: 120_000 }, async () => {
  const json = join(folder, "result.json")
  const charts = join(folder, "charts")
  const table = ["--part", "commits,rebuild", "--only", "ceiling,ws", "--writers", "4"]
  const child = start(...table, "--quick", "--json", json, "--charts", charts)
  let output = ""
  child.stdout.on("data", (chunk) => (output += String(chunk)))
  const [code] = await once(child, "close")

  expect(code).toBe(0)
  expect(output).toMatch(/\| +4 \| ceiling \|/)
  expect(output).toMatch(/\| +4 \| ws {6}\|/)
  expect(output).toContain("- ceiling: raw ws")
  expect(output).not.toContain("PostgreSQL")
  const { machine, outcomes } = JSON.parse(readFileSync(json, "utf8"))
  expect(machine.begin.cpus).toBeGreaterThan(0)
  expect(outcomes[0]).toMatchObject({ part: "commits", parameters: { writers: [4], seconds: 1, rounds: 1 } })
  expect(outcomes[0].samples).toMatchObject([
    { system: "ceiling", writers: 4, round: 1, failed: 0 },
    { system: "ws", writers: 4, round: 1, failed: 0 }
  ])
  expect(outcomes[1].figures.map(({ name }: { name: string }) => name)).toContain("entries")
  expect(readdirSync(charts)).toContain("commits.svg")
  expect(readFileSync(join(charts, "commits.svg"), "utf8")).toContain("</svg>")
  expect(left()).toEqual([])
  expect(readdirSync(join(folder, "tmp"))).toEqual([])
})

it("imports, reads and lists from other processes", { timeout: 120_000 }, async () => {
  const json = join(folder, "result.json")
  const child = start("--part", "clients", "--quick", "--json", json)
  child.stdout.resume()
  const [code] = await once(child, "close")

  expect(code).toBe(0)
  const { figures } = JSON.parse(readFileSync(json, "utf8")).outcomes[0]
  const found = new Map<string, number>(
    figures.map(({ name, value }: { name: string; value: number }) => [name, value])
  )
  const names = [
    Clients.importing,
    Clients.replicaMemory,
    `${Clients.importing}: cpu of the importer`,
    `${Clients.importing}: cpu of the replica`,
    `${Clients.listing}: cpu of the replica`,
    "get by key, local, @quorum/client",
    "get by key, linearizable, @quorum/client",
    Clients.listing,
    Clients.listingLag
  ]
  expect(names.filter((name) => !(found.get(name)! > 0))).toEqual([])
  expect(Array.from(found.keys()).filter((name) => name.includes("FAILED"))).toEqual([])
  expect(left()).toEqual([])
})

it(
  "L68 ends its processes, removes its files, says so and ends with 0 when it is told to stop",
  { timeout: 120_000 },
  async () => {
    const child = start("--part", "commits", "--only", "ws", "--writers", "4,4,4,4", "--quick")
    const exited = once(child, "exit")
    await once(createInterface({ input: child.stderr }), "line")
    expect(left()).toHaveLength(3)
    let output = ""
    child.stderr.on("data", (chunk) => (output += String(chunk)))
    child.kill("SIGTERM")
    const [code] = await exited
    expect(code).toBe(0)
    expect(output).toContain("Stopped, and what the benchmark had started with it")
    expect(left()).toEqual([])
    expect(readdirSync(join(folder, "tmp"))).toEqual([])
  }
)

it("refuses parts and systems that there are not", async () => {
  for (const [flag, name] of [
    ["--part", "commit"],
    ["--only", "mysql"]
  ] as const) {
    const child = start(flag, name)
    let output = ""
    child.stderr.on("data", (chunk) => (output += String(chunk)))
    const [code] = await once(child, "close")
    expect(code).not.toBe(0)
    expect(output).toContain(`there is no ${name}`)
  }
})

it.each([
  ["--seconds", "1e1"],
  ["--rounds", "0x1"],
  ["--writers", "4,1e1"]
])("refuses a number that is not spelled in digits: %s %s", async (flag, value) => {
  const child = start(flag, value)
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)))
  const [code] = await once(child, "close")
  expect(code).not.toBe(0)
  expect(output).toContain(flag)
})
