/** The commands that ask replicas, as processes, at three replicas that are processes too. */
import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Ports from "./support/ports.ts"
import * as Program from "./support/program.ts"
import * as Set from "./support/set.ts"

const timeout = 120_000

/** Three replicas, and commands that ask them. */
const running = Effect.gen(function* () {
  const set = yield* Set.make
  const replicas = yield* Effect.all(
    { a: set.start("a"), b: set.start("b"), c: set.start("c") },
    { concurrency: "unbounded" }
  )
  yield* Set.ready(Object.values(set.urls))
  const url = Object.values(set.urls).join(",")
  const quorum = (flags: ReadonlyArray<string>, options: Program.Options = {}) =>
    Program.outcome(flags, { ...options, env: { QUORUM_URL: url, ...options.env } })
  return { ...set, replicas, quorum, url }
})

describe("commands that ask", () => {
  it.live(
    "write, read, list and delete records, with exit codes and JSON for programs",
    () =>
      Effect.gen(function* () {
        const { folder, quorum } = yield* running
        const written = yield* quorum(["put", "notes", "first", "hello"])
        assert.match(written.stdout, /^committed as \w@[0-9a-f]{16}:\d+\.[0-9a-f]{8} on \w and \w.*of 3, in/)
        assert.deepInclude(yield* quorum(["get", "notes", "first"]), { code: 0, stdout: "hello", stderr: "" })

        const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
        const file = join(folder, "bytes")
        writeFileSync(file, bytes)
        const put = yield* quorum(["put", "notes", "bytes", "--file", file, "--content-type", "image/x", "--json"])
        assert.strictEqual(JSON.parse(put.stdout).policy.w, 2)
        const read = yield* quorum(["get", "notes", "bytes", "--json"])
        assert.deepInclude(JSON.parse(read.stdout), {
          namespace: "notes",
          key: "bytes",
          base64: Buffer.from(bytes).toString("base64"),
          contentType: "image/x"
        })
        yield* quorum(["put", "notes", "second", "-"], { input: "from a pipe\n" })
        assert.strictEqual((yield* quorum(["get", "notes", "second"])).stdout, "from a pipe\n")

        assert.strictEqual((yield* quorum(["ls", "notes"])).stdout, "bytes\nfirst\nsecond\n")
        assert.strictEqual((yield* quorum(["ls", "notes", "--reverse", "--limit", "2"])).stdout, "second\nfirst\n")
        assert.match((yield* quorum(["ls", "-l"])).stdout, /^notes +bytes +256 +image\/x +\w@/m)

        assert.strictEqual((yield* quorum(["del", "notes", "first", "--w", "3"])).code, 0)
        assert.deepInclude(yield* quorum(["get", "notes", "first"]), { code: 1, stdout: "" })
        const gone = yield* quorum(["get", "notes", "first", "--json"])
        assert.deepInclude(JSON.parse(gone.stderr), { error: "not_found", key: "first" })
      }),
    timeout
  )

  it.live(
    "say what cannot be asked, with exit code 2, and write nothing",
    () =>
      Effect.gen(function* () {
        const pipe = join(yield* Program.folder, "pipe")
        assert.strictEqual(spawnSync("mkfifo", [pipe]).status, 0)
        for (const [flags, said] of [
          [["put", "n", "k"], "value: give it as an argument"],
          [["put", "n", "k", "v", "--file", "f"], "value: it is given as an argument and by --file"],
          [["put", "n", "k", "--file", "/none"], "--file: ENOENT"],
          [["put", "n"], "key"],
          [["put", "n", "k", "v", "--w", "two"], "it must be a whole number"],
          [["get", "n", "k", "--url", "nonsense"], "--url: urls[0]"],
          [["get", "n", "k", "--token", "a b"], "--token: it is text of visible ASCII characters"],
          [["ls", "--prefix", "x"], "--prefix and --reverse are for the keys of a namespace"],
          [["import", "/none"], "file: ENOENT"],
          [["import", "/"], "file: / is a folder"],
          [["import", pipe], "is a pipe; have it come in by standard input"],
          [["verify", "/none"], "no file with a receipt"]
        ] as const) {
          const { code, stderr } = yield* Program.outcome(flags)
          assert.strictEqual(code, 2, `${flags.join(" ")}: ${stderr}`)
          assert.include(stderr, said)
        }
        const token = yield* Program.outcome(["get", "n", "k"], { env: { QUORUM_TOKEN: "a b" } })
        assert.include(token.stderr, "QUORUM_TOKEN: it is text of visible ASCII characters")
        // What it is to read may come later, as that of `put` does in a pipe.
        const reads = yield* Program.run(["verify", "-"], { input: "", staysOpen: true })
        assert.isTrue(Option.isNone(yield* Effect.timeoutOption(reads.ended, "2 seconds")), reads.stderr())
        const nobody = yield* Program.outcome(["get", "n", "k", "--url", "http://127.0.0.1:9", "--timeout", "1"])
        assert.strictEqual(nobody.code, 1)
        assert.include(nobody.stderr, "does a replica run there? give --url or QUORUM_URL")
      }),
    timeout
  )

  it.live(
    "go on when one of three is killed, and say what is known when two are",
    () =>
      Effect.gen(function* () {
        const { quorum, replicas, urls } = yield* running
        assert.strictEqual((yield* quorum(["status"])).code, 0)
        const before = yield* quorum(["put", "notes", "k", "one", "--json"])
        yield* replicas.a.signal("SIGKILL")
        assert.strictEqual((yield* quorum(["put", "notes", "k", "two"])).code, 0)
        assert.strictEqual((yield* quorum(["get", "notes", "k", "--consistency", "linearizable"])).stdout, "two")
        const status = yield* quorum(["status", "--timeout", "2"])
        assert.strictEqual(status.code, 1)
        assert.match(status.stdout, new RegExp(`^\\? +${urls.a} +no answer`, "m"))
        assert.match(status.stdout, /^b .* ok .* 1\/2 /m)
        assert.match(status.stdout, /^replica +live +waits to go +logs on disk +all read again\n(?!a )b /m)
        const verified = yield* quorum(["verify", "-", "--json"], { input: before.stdout })
        assert.deepInclude(JSON.parse(verified.stdout), { held: 2, committed: true })

        yield* replicas.b.signal("SIGKILL")
        const alone = yield* quorum(["put", "notes", "k", "three", "--timeout", "3", "--json"])
        const { error, written } = JSON.parse(alone.stderr)
        assert.strictEqual(alone.code, written === "no" ? 1 : 3)
        assert.isString(error)
        const lost = yield* quorum(["verify", "-"], { input: before.stdout })
        assert.strictEqual(lost.code, 1)
      }),
    timeout
  )

  it.live(
    "show that they have a token where the replicas want one",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const [port] = yield* Ports.free(1)
        const file = join(folder, "tokens.json")
        const sha256 = createHash("sha256").update("secret").digest("hex")
        writeFileSync(file, JSON.stringify([{ name: "me", sha256, role: "write" }]))
        const flags = ["serve", "--id", "a", "--data", join(folder, "a"), "--port", String(port), "--tokens-file", file]
        const replica = yield* Program.run(flags)
        yield* replica.wrote("listens")
        const env = { QUORUM_URL: `http://127.0.0.1:${port}` }
        const refused = yield* Program.outcome(["put", "n", "k", "v"], { env })
        assert.deepInclude(refused, { code: 1, stdout: "" })
        assert.include(refused.stderr, "give --token or QUORUM_TOKEN")
        assert.strictEqual(
          (yield* Program.outcome(["put", "n", "k", "v"], { env: { ...env, QUORUM_TOKEN: "secret" } })).code,
          0
        )
        assert.strictEqual((yield* Program.outcome(["ls", "n", "--token", "secret"], { env })).stdout, "k\n")
      }),
    timeout
  )
})

describe("import and export", () => {
  it.live(
    "bring back every byte and every type, and write the lines of one key in their order",
    () =>
      Effect.gen(function* () {
        const { folder, quorum } = yield* running
        const lines = [
          ...Array.from({ length: 500 }, (_, i) => ({ namespace: "n", key: "same", value: i })),
          { namespace: "n", key: "json", value: { a: [1, "ü"] } },
          { namespace: "n", key: "spaced", text: '{ "a": 1 }', contentType: "application/json" },
          { namespace: "n", key: "text", text: "\u001b[2Jü\n" },
          { namespace: "n", key: "bytes", base64: "AAECgP8=", contentType: "image/x" },
          { namespace: "n", key: "empty", text: "" },
          { namespace: "n", key: "gone", value: 1 },
          { namespace: "n", key: "gone", delete: true },
          { id: 7, memory: true }
        ]
        const input = lines.map((line) => `${JSON.stringify(line)}\n`).join("")
        const imported = yield* quorum(["import", "-", "--json"], { input })
        assert.deepInclude(JSON.parse(imported.stdout), { lines: 508, committed: 508, rejected: 0 })
        const file = join(folder, "all.jsonl")
        assert.strictEqual((yield* quorum(["export", "--output", file])).code, 0)
        const exported = readFileSync(file, "utf8")
          .trim()
          .split("\n")
          .map((line) => {
            const { writeId: _, ...rest } = JSON.parse(line)
            return rest
          })
        assert.deepStrictEqual(exported, [
          { namespace: "memories", key: "7", json: { id: 7, memory: true } },
          { namespace: "n", key: "bytes", base64: "AAECgP8=", contentType: "image/x" },
          { namespace: "n", key: "empty", text: "" },
          { namespace: "n", key: "json", json: { a: [1, "ü"] } },
          { namespace: "n", key: "same", json: 499 },
          { namespace: "n", key: "spaced", text: '{ "a": 1 }', contentType: "application/json" },
          { namespace: "n", key: "text", text: "\u001b[2Jü\n" }
        ])
        yield* quorum(["del", "n", "bytes"])
        assert.strictEqual((yield* quorum(["import", file])).code, 0)
        const again = yield* quorum(["export", "n"])
        assert.strictEqual(again.stdout.match(/^/gm)!.length - 1, 6)
        assert.include(again.stdout, '"base64":"AAECgP8="')
      }),
    timeout
  )

  it.live(
    "name the lines that are wrong, import the others, and end with exit code 1",
    () =>
      Effect.gen(function* () {
        const { quorum } = yield* running
        const input =
          '{"namespace":"n","key":"a","value":1}\nnonsense\n{"namespace":"n","key":"b","text":1}\n{"namespace":"n","key":"c","value":2}\n'
        const tried = yield* quorum(["import", "-", "--dry-run"], { input })
        assert.include(tried.stdout, "2 of 4 lines can be imported, 2 rejected")
        const wide = yield* quorum(["import", "-", "--w", "4"], { input })
        assert.strictEqual(wide.code, 2, wide.stderr)
        assert.include(wide.stderr, "line 1: invalid request, w: ")
        assert.strictEqual((yield* quorum(["ls", "n"])).stdout, "")
        const { code, stderr, stdout } = yield* quorum(["import", "-"], { input })
        assert.strictEqual(code, 1)
        assert.include(stdout, "2 of 4 lines committed, 2 rejected")
        assert.include(stderr, "line 2 is rejected: not JSON")
        assert.include(stderr, "line 3 is rejected: text: expected text")
        assert.strictEqual((yield* quorum(["ls", "n"])).stdout, "a\nc\n")
      }),
    timeout
  )

  it.live(
    "stop where no replica answers, say with which line to go on, and have lost nothing when they did",
    () =>
      Effect.gen(function* () {
        const { folder, quorum, replicas, start, urls } = yield* running
        const count = 30_000
        const file = join(folder, "lines.jsonl")
        const line = (i: number) => `${JSON.stringify({ namespace: "n", key: `k${i % (count - 50)}`, value: i })}\n`
        writeFileSync(file, Array.from({ length: count }, (_, i) => line(i)).join(""))
        const env = { QUORUM_URL: Object.values(urls).join(",") }
        const importing = yield* Program.run(["import", file, "--timeout", "3", "--writers", "256"], { env })
        const hasSome = Effect.promise(async () => {
          const answer = await fetch(`${urls.a}/v1/keys/n?limit=1`)
          return ((await answer.json()) as { readonly keys: ReadonlyArray<unknown> }).keys.length > 0
        })
        yield* Effect.repeat(hasSome, { until: (some) => some })
        yield* Effect.forEach(Object.values(replicas), (replica) => replica.signal("SIGKILL"))
        assert.notStrictEqual(yield* importing.ended, 0)
        const from = /go on with: quorum import .* --from (\d+)/.exec(importing.stderr())?.[1]
        assert.isAtLeast(Number(from), 1)
        yield* Effect.all([start("a"), start("b"), start("c")], { concurrency: "unbounded" })
        yield* Set.ready(Object.values(urls))
        assert.strictEqual((yield* quorum(["import", file, "--from", from!])).code, 0)
        const lines = (yield* quorum(["export", "n"])).stdout.trim().split("\n")
        const values = new Map(lines.map((line) => [JSON.parse(line).key, JSON.parse(line).json]))
        assert.strictEqual(values.size, count - 50)
        for (let i = 0; i < 50; i++) assert.strictEqual(values.get(`k${i}`), count - 50 + i)
      }),
    timeout
  )
})

describe("quorum watch and resume", () => {
  it.live(
    "show each write once and go on after a position, and wait for a write at another replica",
    () =>
      Effect.gen(function* () {
        const { quorum, urls } = yield* running
        yield* quorum(["put", "n", "k", "one", "--w", "3"])
        const second = yield* quorum(["del", "n", "k", "--w", "3", "--json"])
        yield* quorum(["put", "m", "other", "-", "--w", "3"], { input: Uint8Array.of(255, 0) })
        const seen = yield* quorum(["watch", "n", "--until-now"])
        assert.deepStrictEqual(
          seen.stdout
            .trim()
            .split("\n")
            .map((line) => line.split("  ").slice(1))
            .toSorted(),
          [
            ["n/k", '"one"'],
            ["n/k", "deleted"]
          ]
        )
        const lines = (yield* quorum(["watch", "--until-now", "--json"])).stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line))
        assert.deepInclude(
          lines.find(({ key }) => key === "other"),
          { namespace: "m", base64: "/wA=" }
        )
        const { position } = lines.at(-1)!
        yield* quorum(["put", "n", "k", "three", "--w", "3"])
        const more = yield* quorum(["watch", "--until-now", "--since", position])
        assert.match(more.stdout, /^\S+ {2}n\/k {2}"three"\n$/)
        assert.strictEqual((yield* quorum(["watch", "--since", "nonsense"])).code, 2)

        const { writeId } = JSON.parse(second.stdout)
        const env = { QUORUM_URL: urls.c }
        const resumed = yield* quorum(["resume", writeId, "--w", "3"], { env })
        assert.include(resumed.stdout, `committed as ${writeId}`)
        assert.include((yield* quorum(["verify", writeId], { env })).stdout, "3 of 3 are known to hold it")
      }),
    timeout
  )
})

describe("help", () => {
  it.live(
    "explains every command with an example, and the shells know them",
    () =>
      Effect.gen(function* () {
        const { stdout } = yield* Program.outcome(["--help"])
        const commands = Array.from(stdout.matchAll(/^ {2,4}([a-z]+) {2,}[A-Z]/gm), ([, name]) => name!)
        assert.includeMembers(commands, [
          "serve",
          "dev",
          "put",
          "get",
          "del",
          "ls",
          "watch",
          "status",
          "verify",
          "resume",
          "import",
          "export",
          "explain",
          "doctor",
          "backup",
          "restore"
        ])
        for (const command of commands) {
          const help = yield* Program.outcome([command, "--help"])
          assert.strictEqual(help.code, 0)
          assert.match(help.stdout, new RegExp(`EXAMPLES[^]*quorum ${command}`), command)
          // What a replica says as JSON is its log: QUORUM_LOG_FORMAT.
          assert.include(help.stdout, command === "serve" ? "QUORUM_LOG_FORMAT" : "--json", command)
        }
        for (const shell of ["bash", "zsh", "fish"]) {
          const script = yield* Program.outcome(["--completions", shell])
          for (const command of commands) assert.include(script.stdout, command, shell)
          const { status, stderr } = spawnSync(shell, ["-n"], { input: script.stdout, encoding: "utf8" })
          // Where the shell is installed, it takes the script.
          if (status !== null) assert.deepStrictEqual([status, stderr], [0, ""], shell)
        }
      }),
    timeout
  )
})
