/**
 * The built client in everything that it promises to run in, as far as that is installed: see `runtimes/package.json`, and
 * Debian's `chromium`.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile, execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { freePorts } from "./support/ports.ts"
import * as Replicas from "./support/replicas.ts"

type Run = (urls: ReadonlyArray<string>, page: Page) => Promise<string>

const root = fileURLToPath(new URL("..", import.meta.url))
const program = join(root, "test/support/program.mjs")

/** Runs the program by a command, and returns what it wrote; `undefined` where there is no such command. */
const command = (path: string | undefined, ...args: ReadonlyArray<string>): Run | undefined => {
  if (path === undefined || !existsSync(path)) return undefined
  return async (urls) => {
    const { stderr, stdout } = await promisify(execFile)(path, [...args, program, ...urls], { timeout: 60_000 })
    assert.strictEqual(stderr, "")
    return stdout
  }
}

const installed = (path: string) => join(root, "test/runtimes/node_modules", path)
const first = (paths: ReadonlyArray<string>) => paths.find((path) => existsSync(path))
const oldNode = ["/usr/bin/node", "/usr/local/bin/node", "/usr/bin/nodejs"].find(
  (path) => existsSync(path) && execFileSync(path, ["--version"], { encoding: "utf8" }).startsWith("v20.")
)
const chromium = first(["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"])

/** A page of an origin of its own, and what it says. */
interface Page extends AsyncDisposable {
  readonly origin: string
  readonly said: Promise<string>
}

const types: Readonly<Record<string, string>> = { js: "text/javascript", mjs: "text/javascript" }

const openPage = async (): Promise<Page> => {
  let say: (text: string) => void
  const said = new Promise<string>((resolve) => (say = resolve))
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, "http://page")
    if (request.method === "POST") {
      const parts: Array<Buffer> = []
      request.on("data", (part: Buffer) => void parts.push(part))
      request.on("end", () => {
        say(Buffer.concat(parts).toString())
        response.end()
      })
      return
    }
    if (pathname === "/") {
      response.setHeader("content-type", "text/html")
      return response.end(
        `<script type="module">
          import { program } from "/test/support/elsewhere.mjs"
          const urls = new URL(location).searchParams.getAll("url")
          const said = await program(urls).catch((cause) => ({ failed: String(cause?.stack ?? cause) }))
          await fetch("/said", { method: "POST", body: JSON.stringify(said) })
        </script>`
      )
    }
    const file = join(root, pathname)
    if (!existsSync(file)) return response.writeHead(404).end()
    response.setHeader("content-type", types[file.split(".").at(-1)!] ?? "application/json")
    return response.end(readFileSync(file))
  })
  const port = (await freePorts(1))[0]!
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  return {
    origin: `http://127.0.0.1:${port}`,
    said,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}

const inChromium: Run | undefined =
  chromium === undefined
    ? undefined
    : async (urls, page) => {
        const profile = mkdtempSync(join(tmpdir(), "quorum-chromium-"))
        const query = new URLSearchParams(urls.map((url) => ["url", url]))
        const args = ["--headless=new", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}`]
        const child = execFile(chromium, [...args, `${page.origin}/?${query}`])
        const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
        try {
          return await Promise.race([
            page.said,
            Replicas.delay(60_000).then(() => Promise.reject(new Error("the page says nothing")))
          ])
        } finally {
          child.kill("SIGKILL")
          await ended
          rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
        }
      }

const runtimes: ReadonlyArray<readonly [name: string, run: Run | undefined]> = [
  ["Node 24", command(process.execPath)],
  ["Node 20", command(oldNode)],
  ["Bun", command(installed("@oven/bun-linux-x64/bin/bun"))],
  ["Deno", command(installed("@deno/linux-x64-glibc/deno"), "run", "--allow-net")],
  ["a page in Chromium", inChromium]
]

describe("the client in each of its runtimes", () => {
  for (const [name, run] of runtimes) {
    it.skipIf(run === undefined)(
      `does all its calls in ${name}, and goes on when a replica is killed (skipped where that is not installed)`,
      { timeout: 120_000 },
      async () => {
        await using page = await openPage()
        await using replicas = await Replicas.start(["a", "b", "c"], undefined, [page.origin])
        const [, b] = replicas.urls
        const dead = `http://127.0.0.1:${(await freePorts(1))[0]!}`
        const running = run!([dead, ...replicas.urls], page)
        let isOver = false
        const over = () => (isOver = true)
        // How it ended is looked at last.
        running.then(over, over)
        const own = async () => Number(await (await fetch(`${b}/v1/records/elsewhere/own`)).text())
        const written = async (least: number) => {
          while (!isOver && !((await own()) >= least)) await Replicas.delay(20)
        }
        await written(1)
        await replicas.kill("a")
        await written((await own()) + 5)
        const killed = await fetch(`${b}/v1/records/elsewhere/killed`, { method: "PUT", body: "a" })
        assert.strictEqual(killed.status, 201)
        assert.deepStrictEqual(JSON.parse(await running), {
          first: "k",
          keys: ["k", "long", "x", "ü/ ?#%"],
          batched: [true, true],
          aborted: "enough",
          refused: "invalid_request",
          json: { written: true },
          long: 100_000,
          text: "é",
          none: null,
          wrong: []
        })
      }
    )
  }

  it.skipIf(inChromium === undefined)(
    "says in a page that its origin may be unknown, where it is (skipped where there is no Chromium)",
    { timeout: 60_000 },
    async () => {
      await using page = await openPage()
      await using replicas = await Replicas.start(["a"])
      const { failed } = JSON.parse(await inChromium!(replicas.urls, page))
      assert.include(failed, `or ${page.origin} is not among the replica's origins`)
    }
  )
})
