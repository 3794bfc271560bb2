/** What commands say and where they write it, at replicas that are stubs: their answers, and what they do not answer. */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs"
import type { RequestListener } from "node:http"
import { text } from "node:stream/consumers"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Ports from "./support/ports.ts"
import * as Program from "./support/program.ts"
import { stub } from "./support/stub.ts"

const timeout = 120_000

const problem = (status: number, error: string) =>
  ((_, response) => {
    response.writeHead(status, { "content-type": "application/problem+json" })
    response.end(JSON.stringify({ error, message: `so it is: ${error}` }))
  }) satisfies RequestListener

const line = { namespace: "n", key: "k", text: "v", writeId: "a@9f3c52d0b1e44a07:1.5ad3c01e" }
const record = { namespace: "n", key: "k", value: "dg==", writeId: line.writeId }

const feedOf = (...lines: ReadonlyArray<object>): string => lines.map((line) => `${JSON.stringify(line)}\n`).join("")

/** Has one record, and one change. */
const working: RequestListener = ({ url }, response) => {
  const isFeed = url!.startsWith("/v1/changes")
  if (isFeed) return response.end(feedOf({ ...line, position: "p" }, { done: true }))
  response.end(feedOf({ records: [record], keys: [record], damaged: [], unreadable: [] }))
}

/** Takes requests and answers none. */
const silent: RequestListener = () => {}

describe("commands that ask", () => {
  it.live(
    "take no answer for all there is that ends within a line or between two, as if that were its end",
    () =>
      Effect.gen(function* () {
        const asked: Array<string | null> = []
        const first = { ...line, position: "1" }
        const answers = [
          feedOf(first),
          '{"namespace":"n","key"',
          feedOf({ ...line, key: "l", position: "2" }, { done: true })
        ]
        const { url } = yield* stub((request, response) => {
          asked.push(new URL(request.url!, "http://a").searchParams.get("since"))
          // As a proxy that speaks HTTP/1.0 passes on what was cut off.
          response.end(answers.shift())
        })
        const seen = yield* Program.outcome(["watch", "n", "--until-now"], { env: { QUORUM_URL: url } })
        assert.deepStrictEqual([seen.code, seen.stdout.match(/n\/\w/g)], [0, ["n/k", "n/l"]])
        assert.deepStrictEqual(asked, [null, "1", "1"])
      }),
    timeout
  )

  it.live(
    "go on at another replica where one takes what they ask and says nothing",
    () =>
      Effect.gen(function* () {
        const urls = [yield* stub(silent), yield* stub(working)]
        const env = { QUORUM_URL: urls.map(({ url }) => url).join(",") }
        const seen = yield* Program.outcome(["watch", "n", "--until-now", "--json"], { env })
        assert.deepStrictEqual([seen.code, JSON.parse(seen.stdout)], [0, { ...line, position: "p" }])

        const other = yield* stub(problem(503, "store_failed"))
        const asked = { QUORUM_URL: `${urls[0]!.url},${other.url}` }
        const file = join(yield* Program.folder, "backup")
        const taken = yield* Program.outcome(["backup", file, "--json"], { env: asked })
        assert.deepInclude(JSON.parse(taken.stderr), { error: "store_failed", url: other.url })
      }),
    timeout
  )

  it.live(
    "export fails where a record cannot be read, and leaves it out by name where that is asked for",
    () =>
      Effect.gen(function* () {
        const page = {
          records: [record],
          damaged: [{ namespace: "n", key: "a\nb", log: "a@1", seq: 7 }],
          unreadable: [{ log: "a@1", from: 8, to: 9 }]
        }
        const { url } = yield* stub((_, response) => response.end(JSON.stringify(page)))
        const env = { QUORUM_URL: url }
        const whole = yield* Program.outcome(["export", "--timeout", "1"], { env })
        assert.deepStrictEqual([whole.code, whole.stdout], [1, ""])
        assert.include(whole.stderr, "it holds records that it cannot read")
        const rest = yield* Program.outcome(["export", "--without-damaged"], { env })
        assert.deepStrictEqual([rest.code, rest.stdout.trim().split("\n").length], [0, 1])
        assert.include(rest.stderr, 'the record ["n","a\\nb"] cannot be read, and is left out\n')
        assert.include(rest.stderr, "entries 8 to 9 of a@1 cannot be read, and nobody knows of what\n")

        // Where another replica has all of it, nothing is left out.
        const other = yield* stub(working)
        const both = { QUORUM_URL: `${url},${other.url}` }
        const all = yield* Program.outcome(["export", "--without-damaged"], { env: both })
        assert.deepStrictEqual([all.code, all.stderr.includes("cannot be read")], [0, false])
      }),
    timeout
  )

  it.live(
    "try again where they asked too often",
    () =>
      Effect.gen(function* () {
        let requests = 0
        const limited = problem(429, "rate_limited")
        const { url } = yield* stub((request, response) =>
          (requests++ % 2 === 0 ? limited : working)(request, response as never)
        )
        const env = { QUORUM_URL: url }
        assert.deepInclude(yield* Program.outcome(["ls", "n"], { env }), { code: 0, stdout: "k\n" })
        assert.strictEqual((yield* Program.outcome(["watch", "n", "--until-now"], { env })).code, 0)
      }),
    timeout
  )

  it.live(
    "status says of a replica whose disk does not answer that it stands, of one that recovers how much it has to fetch, and ends with exit code 1",
    () =>
      Effect.gen(function* () {
        const identity = { cluster: "c", replica: "a", incarnation: "9f3c52d0b1e44a07" }
        const keeps = { compaction: { last: null, space: null }, scrub: { last: null }, damaged: [], lost: [] }
        const well = { identity, voting: true, recovered: true, storeFault: null, peers: [], vector: [], ...keeps }
        for (const [more, state, code] of [
          [{ diskStalledMillis: 0 }, "ok", 0],
          [{ diskStalledMillis: 1200 }, "disk stands", 1],
          [{ voting: false, toFetch: 1234 }, "fetches 1,234 entries", 1],
          [{ voting: false, toFetch: 0 }, "does not vote", 1]
        ] as const) {
          const { url } = yield* stub((_, response) => response.end(JSON.stringify({ ...well, ...more })))
          const ended = yield* Program.outcome(["status"], { env: { QUORUM_URL: url } })
          assert.match(ended.stdout, new RegExp(`^a +${url} +${state} `, "m"))
          assert.strictEqual(ended.code, code)
        }
      }),
    timeout
  )

  it.live(
    "say what is wrong as one document of JSON on standard error, where JSON is asked for",
    () =>
      Effect.gen(function* () {
        const { url } = yield* stub(problem(400, "invalid_request"))
        const data = join(yield* Program.folder, "data")
        for (const [args, code, error] of [
          [["watch", "n"], 2, "invalid_request"],
          [["export"], 2, "invalid_request"],
          [["backup", join(yield* Program.folder, "b")], 2, "invalid_request"],
          [["ls", ".."], 2, "invalid_usage"],
          [["put", "n"], 2, "invalid_usage"],
          [["get", "n", "k", "--r", "no"], 2, "invalid_usage"],
          [["import", "/none"], 2, "invalid_usage"],
          [["explain", "9/3"], 2, "invalid_usage"],
          [["restore", "/none", "--id", "a", "--data", data], 2, "invalid_usage"],
          [["dev", "--data", "/proc/none"], 2, "invalid_usage"],
          [["dev", "--store", "other"], 2, "invalid_usage"],
          [["export", "--output", "/none/there"], 1, "failed"],
          [["export", "--output", ""], 2, "invalid_usage"]
        ] as const) {
          const ended = yield* Program.outcome([...args, "--json"], { env: { QUORUM_URL: url } })
          const name = args.join(" ")
          assert.deepStrictEqual([ended.code, ended.stdout], [code, ""], name)
          const said = JSON.parse(ended.stderr)
          assert.deepStrictEqual([said.error, typeof said.message], [error, "string"], name)
        }
        // A backup that there is not has left no store behind.
        assert.isFalse(existsSync(data))
      }),
    timeout
  )

  it.live(
    "say that nobody answers by one word, and where",
    () =>
      Effect.gen(function* () {
        const { close, url } = yield* stub(silent)
        close()
        const file = join(yield* Program.folder, "b")
        for (const args of [
          ["put", "n", "k", "v"],
          ["ls"],
          ["export"],
          ["watch"],
          ["backup", file],
          ["recover", "--give-up", "b"]
        ]) {
          const ended = yield* Program.outcome([...args, "--timeout", "1", "--json"], { env: { QUORUM_URL: url } })
          assert.deepInclude(JSON.parse(ended.stderr), { error: "unreachable", url }, args.join(" "))
          assert.strictEqual(ended.code, 1)
        }
      }),
    timeout
  )

  it.live(
    "refuse a key and a value that are not UTF-8, and take U+FFFD, which is what Node makes of them",
    () =>
      Effect.gen(function* () {
        let asked: string | undefined
        const { url } = yield* stub((request, response) => void ((asked = request.url), working(request, response)))
        const env = { QUORUM_URL: url }
        const run = (bytes: string, more: ReadonlyArray<string> = []) => {
          const command = `main="$1"; shift; exec "$0" "$main" put n "$(printf '${bytes}')" v "$@"`
          const { status, stderr } = spawnSync("sh", ["-c", command, process.execPath, Program.main(), ...more], {
            env: { ...process.env, ...env },
            encoding: "utf8"
          })
          return { status, stderr }
        }
        if (!existsSync("/proc/self/cmdline")) return
        const refused = run("a\\377")
        assert.deepStrictEqual([refused.status, asked], [2, undefined])
        assert.include(refused.stderr, '"a\uFFFD" is not UTF-8; bytes that are no text can be a value by --file')
        assert.strictEqual(JSON.parse(run("a\\377", ["--json"]).stderr).error, "invalid_usage")
        yield* Program.outcome(["get", "n", "a\uFFFD"], { env })
        assert.include(asked, "/v1/records/n/a%EF%BF%BD")
      }),
    timeout
  )

  it.live(
    "end with 1 and say why where what they answer cannot be written",
    () =>
      Effect.gen(function* () {
        const { url } = yield* stub((_, response) => void response.setHeader("quorum-write-id", line.writeId).end("v"))
        if (!existsSync("/dev/full")) return
        for (const args of [
          ["get", "n", "k"],
          ["get", "n", "k", "--json"],
          ["explain", "2/3"]
        ]) {
          const child = spawn(process.execPath, [Program.main(), ...args, "--url", url], {
            stdio: ["ignore", openSync("/dev/full", "w"), "pipe"]
          })
          const code = new Promise((resolve) => child.on("exit", resolve))
          const said = yield* Effect.promise(() => text(child.stderr!))
          assert.strictEqual(yield* Effect.promise(() => code), 1, args.join(" "))
          assert.include(said, "standard output cannot be written: ENOSPC")
        }
      }),
    timeout
  )
})

describe("quorum export", () => {
  it.live(
    "writes into what is there and is no file, and leaves it what it is",
    () =>
      Effect.gen(function* () {
        const { url } = yield* stub(working)
        const pipe = join(yield* Program.folder, "pipe")
        assert.strictEqual(spawnSync("mkfifo", [pipe]).status, 0)
        const reader = spawn("cat", [pipe], { stdio: ["ignore", "pipe", "inherit"] })
        const read = text(reader.stdout)
        const exported = yield* Program.outcome(["export", "--output", pipe], { env: { QUORUM_URL: url } })
        assert.isTrue(statSync(pipe).isFIFO())
        assert.strictEqual(exported.code, 0, exported.stderr)
        assert.deepStrictEqual(JSON.parse(yield* Effect.promise(() => read)), line)
      }),
    timeout
  )

  it.live(
    "and import bring back what can be written: every byte, and as much as the replicas take",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const [port] = yield* Ports.free(1)
        const valueBytes = 2 * 1024 * 1024
        const env = { QUORUM_URL: `http://127.0.0.1:${port}` }
        const serving = ["serve", "--id", "a", "--data", join(folder, "a"), "--port", String(port)]
        const replica = yield* Program.run(serving, { env: { QUORUM_LIMITS: JSON.stringify({ valueBytes }) } })
        yield* replica.wrote("listens")
        const quorum = (args: ReadonlyArray<string>, input?: Uint8Array) =>
          Program.outcome(args, { env, ...(input === undefined ? {} : { input }) })
        for (const place of [
          ["n", "."],
          ["..", "k"]
        ]) {
          assert.strictEqual((yield* quorum(["put", ...place, "v"])).code, 2, "no url has such a name")
        }
        yield* quorum(["put", "n", "zeros", "-"], new Uint8Array(valueBytes))
        yield* quorum(["put", "n", "long", "-"], new Uint8Array(valueBytes).fill(97))
        const [first, second] = [join(folder, "first"), join(folder, "second")]
        yield* quorum(["export", "--output", first])
        const imported = yield* quorum(["import", first, "--json"])
        assert.deepInclude(JSON.parse(imported.stdout), { lines: 2, committed: 2, rejected: 0 }, imported.stderr)
        yield* quorum(["export", "--output", second])
        const [before, after] = [first, second].map((file) => readFileSync(file, "utf8").replaceAll(/"writeId.*/g, ""))
        assert.isTrue(before === after)
      }),
    timeout
  )
})

describe("commands that are interrupted", () => {
  /** What a command says when it is interrupted as soon as something holds. */
  const interrupted = (args: ReadonlyArray<string>, url: string, holds: () => boolean, input?: string) =>
    Effect.scoped(
      Effect.gen(function* () {
        const given = input === undefined ? {} : { input, staysOpen: true }
        const program = yield* Program.run(args, { env: { QUORUM_URL: url }, ...given })
        yield* Program.until(holds)
        yield* program.signal("SIGINT")
        assert.strictEqual(yield* program.ended, 130)
        assert.strictEqual(program.stdout(), "")
        return program.stderr()
      })
    )

  it.live(
    "say how many lines are imported, once what is under way is settled, and with which to go on",
    () =>
      Effect.gen(function* () {
        let seen = 0
        const { url } = yield* stub(async (request, response) => {
          const lines = (await text(request)).trim().split("\n")
          if (request.url!.startsWith("/v1/stamps")) {
            const { keys } = JSON.parse(lines[0]!)
            return void response.writeHead(201).end(JSON.stringify({ stamps: keys.map(() => "s") }))
          }
          if (!request.url!.startsWith("/v1/batch")) return void response.writeHead(404).end()
          seen += lines.length
          for (const [i, line] of lines.entries()) {
            const { key } = JSON.parse(line)
            // This one and those after it are never answered.
            if (key === "silent") return
            const rejected = { status: 400, problem: { error: "write_rejected", message: "so it is" } }
            const answer = key === "wrong" ? rejected : { status: 201, receipt: { writeId: `a:${i}`, acked: [] } }
            response.write(`${JSON.stringify({ line: i + 1, ...answer, session: "s" })}\n`)
          }
          response.end()
        })
        const importing = (keys: ReadonlyArray<string>, ...flags: ReadonlyArray<string>) => {
          seen = 0
          const lines = keys.map((key) => `${JSON.stringify({ namespace: "n", key, text: "v" })}\n`)
          return interrupted(["import", "-", ...flags], url, () => seen === keys.length, lines.join(""))
        }
        const all = yield* importing(["a", "wrong", "b"])
        assert.include(all, "line 2 is rejected: so it is")
        assert.include(all, "interrupted: 2 of 3 lines committed, 1 rejected; go on with: quorum import - --from 4\n")
        const part = yield* importing(["a", "silent", "b"], "--timeout", "1", "--json")
        assert.deepInclude(JSON.parse(part), { error: "interrupted", lines: 3, committed: 1, rejected: 0, openFrom: 2 })
      }),
    timeout
  )

  it.live(
    "say that there is no file, or no whole one, and that a write may have been sent",
    () =>
      Effect.gen(function* () {
        let asked = 0
        const { url } = yield* stub(({ url }, response) => {
          if (url === "/healthz") return void response.end("{}")
          asked++
          if (url!.startsWith("/v1/backup")) return void response.write("a part")
          if (url!.startsWith("/v1/stamps")) return
          response.end(JSON.stringify({ records: [], damaged: [], unreadable: [], next: "more" }))
        })
        const folder = yield* Program.folder
        const file = join(folder, "file")
        const after = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
          asked = 0
          return yield* interrupted(args, url, () => asked > 0)
        })
        writeFileSync(file, "what was there")
        assert.include(yield* after("export", "--output", file), `; ${file} is as it was\n`)
        assert.strictEqual(readFileSync(file, "utf8"), "what was there")
        assert.include(yield* after("export"), "interrupted: after 0 records; the output is not whole\n")
        const backup = join(folder, "backup")
        assert.strictEqual(yield* after("backup", backup), `interrupted: there is no ${backup}\n`)
        assert.isFalse(existsSync(backup))
        assert.include(
          yield* after("put", "n", "k", "v", "--timeout", "1"),
          "interrupted: the write may have been sent"
        )
      }),
    timeout
  )
})
