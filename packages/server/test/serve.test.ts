/** `quorum serve` as processes: how it starts, goes on, and ends. */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { existsSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Ports from "./support/ports.ts"
import * as Program from "./support/program.ts"
import * as Set from "./support/set.ts"

const timeout = 90_000

const put = (url: string, key: string, value: string) =>
  Effect.promise(() => fetch(`${url}/v1/records/test/${key}`, { method: "PUT", body: value }))

const get = (url: string, key: string) =>
  Effect.promise(() => fetch(`${url}/v1/records/test/${key}?consistency=linearizable`).then((answer) => answer.text()))

describe("quorum serve", () => {
  for (const transport of ["ws", "http"] as const) {
    it.live(
      `three commit and read over ${transport}, and go on when one is killed`,
      () =>
        Effect.gen(function* () {
          const { start, urls } = yield* Set.make
          const more = ["--transport", transport, ...(transport === "http" ? ["--store", "lmdb"] : [])]
          yield* start("a", more)
          yield* start("b", more)
          const victim = yield* start("c", more)
          yield* Set.ready(Object.values(urls))
          assert.strictEqual((yield* put(urls.c, "first", "one")).status, 201)
          yield* victim.signal("SIGKILL")
          assert.strictEqual(yield* victim.ended, "SIGKILL")
          assert.strictEqual((yield* put(urls.a, "second", "two")).status, 201)
          assert.strictEqual(yield* get(urls.b, "first"), "one")
          yield* start("c", more)
          yield* Set.ready([urls.c])
          assert.strictEqual(yield* get(urls.c, "second"), "two")
        }),
      timeout
    )
  }

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(
      `L68 stops in order on ${signal}, with exit code 0`,
      () =>
        Effect.gen(function* () {
          const folder = yield* Program.folder
          const [port] = yield* Ports.free(1)
          const replica = yield* Program.run(["serve", "--id", "a", "--data", folder, "--port", String(port)])
          yield* replica.wrote(`replica a listens on http://127.0.0.1:${port}`)
          yield* replica.signal(signal)
          assert.strictEqual(yield* replica.ended, 0)
          assert.include(replica.stderr(), "message=stopping")
          assert.lengthOf(replica.stdout().trim().split("\n"), 1)
        }),
      timeout
    )
  }

  for (const [where, open] of [
    ["whose reader is gone", () => "pipe" as const],
    ["on a full disk (skipped where there is no /dev/full)", () => openSync("/dev/full", "w")]
  ] as const) {
    it.live.skipIf(!existsSync("/dev/full"))(
      `goes on without its output ${where}, and stops in order`,
      () =>
        Effect.gen(function* () {
          const folder = yield* Program.folder
          const [port] = yield* Ports.free(1)
          const flags = ["serve", "--id", "a", "--data", folder, "--port", String(port)]
          const replica = yield* Effect.acquireRelease(
            Effect.sync(() =>
              spawn(process.execPath, [Program.main(), ...flags], { stdio: ["ignore", open(), open()] })
            ),
            (child) => Effect.sync(() => void child.kill("SIGKILL"))
          )
          for (const stream of [replica.stdout, replica.stderr]) stream?.destroy()
          const ended = once(replica, "exit")
          const url = `http://127.0.0.1:${port}`
          yield* Set.ready([url])
          assert.strictEqual((yield* put(url, "first", "one")).status, 201)
          replica.kill("SIGTERM")
          assert.deepStrictEqual(yield* Effect.promise(() => ended), [0, null])
        }),
      timeout
    )
  }

  it.live(
    "shows its metrics and its status to whom it is told to",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const [port] = yield* Ports.free(1)
        const file = join(folder, "tokens.json")
        const tokenOf = (name: string, role: string) => ({
          name,
          role,
          sha256: createHash("sha256").update(name).digest("hex")
        })
        writeFileSync(file, JSON.stringify([tokenOf("reader", "read"), tokenOf("boss", "admin")]))
        const own = ["--id", "a", "--data", join(folder, "a"), "--port", String(port), "--tokens-file", file]
        const env = { QUORUM_METRICS_FOR: "open" }
        const replica = yield* Program.run(["serve", ...own, "--status-for", "admin"], { env })
        yield* replica.wrote("listens")
        const status = (path: string, token?: string) =>
          Effect.promise(() =>
            fetch(`http://127.0.0.1:${port}${path}`, {
              headers: token === undefined ? {} : { authorization: `Bearer ${token}` }
            }).then(({ status }) => status)
          )
        assert.deepStrictEqual([yield* status("/metrics"), yield* status("/v1/status")], [200, 401])
        assert.deepStrictEqual([yield* status("/v1/status", "reader"), yield* status("/v1/status", "boss")], [403, 200])
        assert.deepStrictEqual([yield* status("/v1/records"), yield* status("/v1/records", "reader")], [401, 200])
      }),
    timeout
  )

  it.live(
    "takes its settings from a file and from variables, and logs JSON where asked",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const [port] = yield* Ports.free(1)
        const file = join(folder, "quorum.json")
        writeFileSync(file, JSON.stringify({ id: "a", data: join(folder, "data"), logFormat: "json" }))
        const env = { QUORUM_CONFIG: file, QUORUM_PORT: String(port) }
        const replica = yield* Program.run(["serve"], { env })
        yield* replica.wrote('"ready":"a"')
        assert.deepStrictEqual(JSON.parse(replica.stdout()), {
          ready: "a",
          url: `http://127.0.0.1:${port}`,
          pid: replica.pid
        })
        for (const line of replica.stderr().trim().split("\n")) assert.property(JSON.parse(line), "message")
      }),
    timeout
  )

  it.live(
    "says what is wrong with its settings, and ends with exit code 2",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const file = join(folder, "quorum.json")
        writeFileSync(file, "{")
        const secret = ["serve", "--id", "a", "--data", folder, "--secret-file", join(folder, "none")]
        const tokens = ["serve", "--id", "a", "--data", folder, "--tokens-file", file]
        const [port] = yield* Ports.free(1)
        const own = ["serve", "--id", "a", "--data", folder, "--port", String(port)]
        const marked = join(folder, "marked.json")
        writeFileSync(marked, '\uFEFF{"prot":1}')
        const wide = join(folder, "wide.json")
        writeFileSync(wide, Buffer.from('\uFEFF{"id":"a"}', "utf16le"))
        const short = join(folder, "short")
        writeFileSync(short, "short", { mode: 0o600 })
        const tls = ["--tls-key-file", short, "--tls-cert-file", file, "--tls-ca-file", file]
        for (const [flags, env, said] of [
          [["serve"], { QUORUM_PROT: "1" }, "QUORUM_PROT: there is no such setting; did you mean QUORUM_PORT?"],
          [["serve", "--prot", "1"], {}, "Unrecognized flag: --prot"],
          [["serve", "--config", file], {}, `--config: ${file}: `],
          [["serve", "--config", marked], {}, `"prot" in ${marked}: there is no such setting`],
          [["serve", "--config", wide], {}, `--config: ${wide}: The encoded data was not valid for encoding utf-8`],
          [["serve"], { QUORUM_CONFIG: join(folder, "none") }, "QUORUM_CONFIG: "],
          [secret, {}, "secretFile: it cannot be read"],
          [tokens, {}, `tokensFile: ${file}: `],
          [[...own, "--insecure", "true", "--peers", "a=h:1,b=http://h:2"], {}, 'peers: a: "h:1" is not a url'],
          [[...own, "--secret-file", short], {}, "secretFile: the secret of the peers has 5 bytes"],
          [[...own, "--secret-file", folder], {}, `secretFile: ${folder} cannot be read`],
          [[...own, ...tls], {}, `tlsCertFile: ${file}: `],
          [[...own, "--origins", "x"], {}, "--origins: "],
          [["serve", "--id", "a", "--data", folder, "--host", "0.0.0.0"], {}, "--host: others reach 0.0.0.0"],
          [["sreve"], {}, "sreve"]
        ] as const) {
          const { code, stderr } = yield* Program.outcome(flags, { env })
          assert.strictEqual(code, 2, stderr)
          assert.include(stderr, said)
          assert.notInclude(stderr, "    at ")
        }
      }),
    timeout
  )

  it.live(
    "L68 says why it does not start, and ends with exit code 1",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const [port, other] = yield* Ports.free(2)
        const flags = (id: string, port: number) => [
          "serve",
          "--id",
          id,
          "--data",
          join(folder, id),
          "--port",
          String(port)
        ]
        const first = yield* Program.run(flags("a", port!))
        yield* first.wrote("listens")
        for (const [more, said] of [
          [flags("a", other!), "store locked"],
          [flags("b", port!), `port ${port}`]
        ] as const) {
          const { code, stderr } = yield* Program.outcome(more)
          assert.strictEqual(code, 1, stderr)
          assert.include(stderr, said)
          assert.notInclude(stderr, "    at ")
        }
      }),
    timeout
  )
})

describe("under systemd", () => {
  it.live(
    "says when it is ready and when it stops, and that it cannot where there is no systemd-notify",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const said = join(folder, "said")
        // Stands for systemd's own, which needs a systemd to talk to.
        writeFileSync(join(folder, "systemd-notify"), `#!/bin/sh\necho "$@" >> "${said}"\n`, { mode: 0o755 })
        const [port] = yield* Ports.free(1)
        const serve = (path: string) =>
          Program.run(["serve", "--id", "a", "--data", join(folder, "data"), "--port", String(port)], {
            env: { NOTIFY_SOCKET: join(folder, "socket"), PATH: path }
          })
        const replica = yield* serve(`${folder}:${process.env["PATH"]}`)
        yield* Program.until(() => existsSync(said))
        assert.strictEqual(readFileSync(said, "utf8"), `READY=1 STATUS=listens on http://127.0.0.1:${port}\n`)
        yield* replica.signal("SIGTERM")
        assert.strictEqual(yield* replica.ended, 0)
        assert.include(readFileSync(said, "utf8"), "\nSTOPPING=1\n")
        const other = yield* serve("/nowhere")
        yield* Program.until(() => other.stderr().includes("systemd could not be told READY=1"))
      }),
    timeout
  )
})
