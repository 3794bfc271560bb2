/** `quorum dev` as processes. */
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Ports from "./support/ports.ts"
import * as Program from "./support/program.ts"

const timeout = 90_000

const urlsOf = (text: string) => Array.from(text.matchAll(/^ {2}\w {2}(http\S+)$/gm), ([, url]) => url!)

const fetched = (url: string, init?: RequestInit) => Effect.promise(() => fetch(url, init))

describe("quorum dev", () => {
  it.live(
    "runs three replicas that commit, prints what to try, and ends them all on Ctrl-C",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const ports = yield* Ports.free(3)
        // What the commands are told in "Try" may stand in the shell.
        const env = { QUORUM_URL: "http://127.0.0.1:1", QUORUM_TOKEN: "t" }
        const dev = yield* Program.run(["dev", "--data", folder, "--port", String(ports[0])], { env })
        yield* dev.wrote("Their files are in")
        const urls = urlsOf(dev.stdout())
        assert.deepStrictEqual(
          urls,
          ports.map((port) => `http://127.0.0.1:${port}`)
        )
        const written = yield* fetched(`${urls[0]}/v1/records/greetings/first`, { method: "PUT", body: "hello" })
        assert.strictEqual(written.status, 201)
        const read = yield* fetched(`${urls[2]}/v1/records/greetings/first?consistency=linearizable`)
        assert.strictEqual(yield* Effect.promise(() => read.text()), "hello")
        const replicas = Program.childrenOf(dev.pid)
        assert.lengthOf(replicas, 3)
        yield* dev.signal("SIGINT")
        assert.strictEqual(yield* dev.ended, 0)
        yield* Program.until(() => !replicas.some(Program.runs))
      }),
    timeout
  )

  it.live(
    "refuses variables that are settings, which it would not look at, and says which",
    () =>
      Effect.gen(function* () {
        const refused = Effect.fnUntraced(function* (env: Readonly<Record<string, string>>) {
          const { code, stderr, stdout } = yield* Program.outcome(["dev", "--json"], { env })
          return [code, stdout, (JSON.parse(stderr) as { readonly message: string }).message]
        })
        const said = (variables: string, it: string) =>
          `${variables}: quorum dev is run by its flags alone; unset ${it}, or run quorum serve`
        const two = { QUORUM_STORE: "lmdb", QUORUM_URL: "http://127.0.0.1:1", QUORUM_PROT: "1" }
        assert.deepStrictEqual(yield* refused(two), [2, "", said("QUORUM_STORE, QUORUM_PROT", "them")])
        assert.deepStrictEqual(yield* refused({ QUORUM_CONFIG: "x.json" }), [2, "", said("QUORUM_CONFIG", "it")])
      }),
    timeout
  )

  it.live(
    "leaves no replica behind when it is killed",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const [port] = yield* Ports.free(2)
        const dev = yield* Program.run([
          "dev",
          "--replicas",
          "2",
          "--data",
          folder,
          "--port",
          String(port),
          "--transport",
          "http",
          "--json"
        ])
        yield* dev.wrote("}\n")
        const said = JSON.parse(dev.stdout()) as {
          readonly folder: string
          readonly replicas: ReadonlyArray<{ readonly id: string; readonly url: string }>
        }
        assert.deepStrictEqual([said.folder, said.replicas[0]], [folder, { id: "a", url: `http://127.0.0.1:${port}` }])
        const replicas = Program.childrenOf(dev.pid)
        assert.lengthOf(replicas, 2)
        yield* dev.signal("SIGKILL")
        yield* Program.until(() => !replicas.some(Program.runs))
      }),
    timeout
  )

  it.live(
    "says which replica ended and why, and ends the others",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const ports = yield* Ports.free(3)
        const other = yield* Program.run([
          "serve",
          "--id",
          "a",
          "--data",
          join(folder, "a"),
          "--port",
          String(ports[2])
        ])
        yield* other.wrote("listens")
        const { code, stderr } = yield* Program.outcome([
          "dev",
          "--replicas",
          "2",
          "--data",
          folder,
          "--port",
          String(ports[0])
        ])
        assert.strictEqual(code, 1)
        assert.include(stderr, "replica a ended")
        assert.include(stderr, "store locked")
      }),
    timeout
  )
})
