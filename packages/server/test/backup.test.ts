/** `quorum backup` and `quorum restore`, as processes. */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as Ports from "./support/ports.ts"
import * as Program from "./support/program.ts"
import * as Set from "./support/set.ts"

const timeout = 120_000

/** What the document says of every operation beside its name. */
const operation = ["tags", "summary", "description", "parameters", "responses"]

describe("quorum backup", () => {
  it.live(
    "brings back what a replica held when all replicas are lost, and refuses what is no empty folder",
    () =>
      Effect.gen(function* () {
        const { flags, folder, secret, start, urls } = yield* Set.make
        const env = { QUORUM_URL: Object.values(urls).join(",") }
        const quorum = (args: ReadonlyArray<string>) => Program.outcome(args, { env })
        const replicas = yield* Effect.all([start("a"), start("b"), start("c")], { concurrency: "unbounded" })
        yield* Set.ready(Object.values(urls))
        yield* quorum(["put", "n", "k", "kept", "--w", "3"])
        const file = join(folder, "all.backup")
        const taken = yield* quorum(["backup", file])
        assert.match(taken.stdout, /^1 entries of quorum, as [abc] held them at /)
        assert.strictEqual((yield* quorum(["backup", file])).code, 2)
        yield* Program.until(() => !existsSync(join(folder, "a", "backup.sending")))
        yield* quorum(["put", "n", "later", "lost", "--w", "3"])
        yield* Effect.forEach(replicas, (replica) => Effect.andThen(replica.signal("SIGKILL"), replica.ended))

        const peers = flags("a")[4]!
        const restored = (id: string) => [
          "--id",
          id,
          "--peers",
          peers,
          "--data",
          join(folder, `new-${id}`),
          "--secret-file",
          secret
        ]
        for (const id of ["a", "b", "c"]) {
          const args = ["restore", file, "--id", id, "--data", join(folder, `new-${id}`), "--json"]
          // As the replica has them, whose secret this command has no use for.
          const settings = { QUORUM_PEERS: peers, QUORUM_HOST: "0.0.0.0" }
          const { code, stderr, stdout } = yield* Program.outcome(args, { env: settings })
          assert.strictEqual(code, 0, stderr)
          assert.deepInclude(JSON.parse(stdout), {
            file,
            folder: join(folder, `new-${id}`),
            cluster: "quorum",
            entries: 1
          })
        }
        yield* Effect.forEach(["a", "b", "c"], (id) => Program.run(["serve", ...restored(id)]))
        yield* Set.ready(Object.values(urls))
        assert.strictEqual((yield* quorum(["get", "n", "k"])).stdout, "kept")
        assert.strictEqual((yield* quorum(["get", "n", "later"])).code, 1)

        const used = yield* quorum(["restore", file, "--id", "a", "--data", join(folder, "a")])
        assert.strictEqual(used.code, 1)
        assert.include(used.stderr, "not_empty")
        truncateSync(file, readFileSync(file).length - 1)
        const cut = yield* quorum(["restore", file, "--id", "a", "--data", join(folder, "empty")])
        assert.strictEqual(cut.code, 1)
        assert.include(cut.stderr, "damaged")
      }),
    timeout
  )

  it.live(
    "writes into no file of another, neither on its side nor on that of the replica, and leaves none",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const data = join(folder, "a")
        // What was left when the replica was killed while it sent one.
        const left = ["backup.sending", "backup.sending.partial"].map((name) => join(data, name))
        mkdirSync(data, { mode: 0o700 })
        for (const path of left) writeFileSync(path, "a copy")
        const [port] = yield* Ports.free(1)
        const url = `http://${Ports.host}:${port}`
        const replica = yield* Program.run(["serve", "--id", "a", "--data", data, "--port", String(port)])
        yield* replica.wrote("listens")
        assert.deepStrictEqual(left.map(existsSync), [false, false])
        const quorum = (args: ReadonlyArray<string>) => Program.outcome(args, { env: { QUORUM_URL: url } })

        for (const name of ["-", join(folder, "nowhere", "x")]) {
          const refused = yield* quorum(["backup", name])
          assert.strictEqual(refused.code, 2, refused.stderr)
          assert.match(refused.stderr, /^ +file: /m)
        }
        // Another command that writes the same file just now.
        const [backup, lines] = [join(folder, "all.backup"), join(folder, "all.jsonl")]
        for (const file of [backup, lines]) writeFileSync(`${file}.part`, "another's")
        for (const args of [
          ["backup", backup],
          ["export", "--output", lines]
        ]) {
          const { code, stderr } = yield* quorum(args)
          assert.strictEqual(code, 0, stderr)
        }
        for (const file of [backup, lines]) assert.strictEqual(readFileSync(`${file}.part`, "utf8"), "another's")
        const files = ["all.backup", "all.backup.part", "all.jsonl", "all.jsonl.part"]
        assert.deepStrictEqual(readdirSync(folder).sort(), ["a", ...files])
      }),
    timeout
  )

  it.live(
    "is of a replica that votes: what another holds may lack what was acknowledged",
    () =>
      Effect.gen(function* () {
        const { folder, start, urls } = yield* Set.make
        const [alone, file] = [join(folder, "alone.backup"), join(folder, "all.backup")]
        // Its store is new, and it has met nobody who could tell what it lacks.
        const a = yield* start("a")
        yield* a.wrote("listens")
        const refused = yield* Program.outcome(["backup", alone, "--url", urls.a])
        assert.deepStrictEqual([refused.code, existsSync(alone)], [1, false])
        assert.include(refused.stderr, "its store is new")
        yield* start("b")
        yield* start("c")
        yield* Set.ready(Object.values(urls))
        assert.strictEqual((yield* Program.outcome(["backup", file, "--url", urls.a])).code, 0)
      }),
    timeout
  )

  it.live(
    "needs a token that reaches everything",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const [port] = yield* Ports.free(1)
        const tokens = join(folder, "tokens.json")
        const sha256 = (text: string) => createHash("sha256").update(text).digest("hex")
        writeFileSync(
          tokens,
          JSON.stringify([
            { name: "all", sha256: sha256("all"), role: "read" },
            { name: "may", sha256: sha256("may"), role: "admin" },
            { name: "some", sha256: sha256("some"), role: "admin", namespaces: ["n"] }
          ])
        )
        const data = join(folder, "a")
        const replica = yield* Program.run([
          "serve",
          "--id",
          "a",
          "--data",
          data,
          "--port",
          String(port),
          "--tokens-file",
          tokens
        ])
        yield* replica.wrote("listens")
        const url = `http://127.0.0.1:${port}/v1/backup`
        const status = (token?: string) =>
          Effect.promise(() =>
            fetch(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }).then(
              (answer) => answer.status
            )
          )
        assert.deepStrictEqual([yield* status(), yield* status("some"), yield* status("all")], [401, 403, 200])
        // One of which only the head is asked for makes no other one wait, and leaves no file. The turn ends after the file.
        const notBusy = Effect.repeat(status("all"), { while: (code) => code === 503, schedule: Schedule.spaced(20) })
        const head = Effect.promise(() =>
          fetch(url, { method: "HEAD", headers: { authorization: "Bearer all" } }).then((answer) => answer.status)
        )
        const headed = Effect.repeat(head, { while: (code) => code === 503, schedule: Schedule.spaced(20) })
        assert.deepStrictEqual([yield* headed, yield* notBusy], [200, 200])
        yield* Program.until(() => !existsSync(join(data, "backup.sending")))
        // Who took one stands in the log, and neither the token nor who was refused.
        const audited = replica
          .stderr()
          .split("\n")
          .filter((line) => line.includes("quorum.event=audit"))
        assert.lengthOf(audited, 3)
        assert.match(audited[0]!, /a backup is taken, asked for by .*all.* from .*127\.0\.0\.1/)

        const headers = { authorization: "Bearer all" }
        const { paths } = yield* Effect.promise(() =>
          fetch(url.replace("/v1/backup", "/openapi.json"), { headers }).then((answer) => answer.json())
        ) as Effect.Effect<{ readonly paths: Readonly<Record<string, { readonly get?: object }>> }>
        assert.hasAllKeys(paths["/v1/backup"]?.get, [...operation, "operationId"])
        assert.containsAllKeys(paths, ["/v1/status", "/v1/records"])
        // What the document knows, answers to other methods know too.
        const wrong = yield* Effect.promise(() =>
          fetch(url, { method: "DELETE", headers: { authorization: "Bearer may" } })
        )
        assert.deepStrictEqual([wrong.status, wrong.headers.get("allow")], [405, "GET, HEAD"])
      }),
    timeout
  )
})
