/** `quorum recover`, at replicas that are processes. */
import { createHash } from "node:crypto"
import { rmSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Program from "./support/program.ts"
import * as Set from "./support/set.ts"

const timeout = 120_000

/** Waits until a replica waits for these members, as it says itself. */
const waitsFor = (url: string, ids: string) =>
  Effect.promise(async () => {
    const answer = await fetch(`${url}/v1/status`).catch(() => undefined)
    return ((await answer?.json()) as { readonly obstacle: string | null } | undefined)?.obstacle ?? ""
  }).pipe(
    Effect.tap(() => Effect.sleep(50)),
    Effect.repeat({ until: (obstacle) => obstacle.endsWith(`it waits for ${ids}`) })
  )

/** What is answered to a request with another protocol in mind, whose body does not come. */
const statusOfUpgrade = (url: string) =>
  Effect.callback<number | undefined>((resume) => {
    const headers = { connection: "upgrade", upgrade: "h2c", "content-length": "1000" }
    const outgoing = request(`${url}/v1/recover`, { method: "POST", headers, agent: false }, ({ statusCode }) => {
      outgoing.destroy()
      resume(Effect.succeed(statusCode))
    })
    outgoing.on("error", () => undefined)
    outgoing.flushHeaders()
    return Effect.sync(() => void outgoing.destroy())
  })

describe("quorum recover", () => {
  it.live(
    "begins a replica set of which one member never comes, says what that means first, and refuses what is not needed",
    () =>
      Effect.gen(function* () {
        const { start, urls } = yield* Set.make
        const at = (url: string, ...args: ReadonlyArray<string>) => Program.outcome(["recover", "--url", url, ...args])
        yield* Effect.all([start("a"), start("b")], { concurrency: "unbounded" })
        yield* waitsFor(urls.a, "c")
        yield* waitsFor(urls.b, "c")

        const asked = yield* at(urls.a, "--give-up", "c")
        assert.strictEqual(asked.code, 1)
        assert.match(asked.stdout, /^a would wait no longer for c: what only c holds, .*is lost\nnothing was changed/)
        const json = yield* at(urls.a, "--give-up", "c", "--json")
        assert.deepInclude(JSON.parse(json.stdout), { replica: "a", givenUp: ["c"], confirmed: false })
        const stranger = yield* at(urls.a, "--give-up", "x", "--yes")
        assert.strictEqual(stranger.code, 2)
        assert.include(stranger.stderr, "--give-up: x is no peer of this replica: its peers are b, c")
        const none = yield* at(urls.a, "--give-up", "c,")
        assert.deepStrictEqual([none.code, none.stderr.includes("--give-up: Expected a replica id")], [2, true])
        const two = yield* at(`${urls.a},${urls.b}`, "--give-up", "c", "--yes")
        assert.strictEqual(two.code, 2)
        yield* waitsFor(urls.a, "c")

        for (const [id, url] of [
          ["a", urls.a],
          ["b", urls.b]
        ] as const) {
          const done = yield* at(url, "--give-up", "c", "--yes")
          assert.strictEqual(done.code, 0, done.stderr)
          assert.include(done.stdout, `${id} votes`)
        }
        yield* Set.ready([urls.a, urls.b])
        const put = yield* Program.outcome(["put", "n", "k", "v"], { env: { QUORUM_URL: `${urls.a},${urls.b}` } })
        assert.strictEqual(put.code, 0, put.stderr)
        const needless = yield* at(urls.b, "--give-up", "c", "--yes", "--json")
        assert.strictEqual(needless.code, 1)
        assert.deepInclude(JSON.parse(needless.stderr), { error: "recovery_refused" })
        const long = yield* Effect.promise(() =>
          fetch(`${urls.b}/v1/recover`, { method: "POST", body: "x".repeat(70_000) })
        )
        const said = yield* Effect.promise(() => long.json())
        assert.strictEqual(long.status, 413)
        assert.deepInclude(said, { error: "request_too_large", message: "the body has more than 65536 bytes" })
        assert.strictEqual(yield* statusOfUpgrade(urls.b), 400)
        yield* start("c")
        yield* Set.ready(Object.values(urls))
      }),
    timeout
  )

  it.live(
    "brings a set back of which two of three have lost their stores, with what the third holds, for a token that may",
    () =>
      Effect.gen(function* () {
        const { folder, start, urls } = yield* Set.make
        const tokens = join(folder, "tokens.json")
        const token = (name: "write" | "admin") => ({
          name,
          role: name,
          sha256: createHash("sha256").update(name).digest("hex")
        })
        writeFileSync(tokens, JSON.stringify([token("write"), token("admin")]))
        const options = ["--tokens-file", tokens, "--status-for", "open"]
        const as = (name: string) => ({ env: { QUORUM_TOKEN: name, QUORUM_URL: Object.values(urls).join(",") } })
        const [, b, c] = yield* Effect.all(
          (["a", "b", "c"] as const).map((id) => start(id, options)),
          { concurrency: "unbounded" }
        )
        yield* Set.ready(Object.values(urls))
        yield* Program.outcome(["put", "n", "k", "kept", "--w", "3"], as("write"))
        for (const [id, replica] of [
          ["b", b],
          ["c", c]
        ] as const) {
          yield* replica!.signal("SIGKILL")
          yield* replica!.ended
          rmSync(join(folder, id), { recursive: true })
        }
        yield* Effect.all([start("b", options), start("c", options)], { concurrency: "unbounded" })
        yield* waitsFor(urls.b, "c")

        const lost = ["recover", "--url", urls.b, "--give-up", "c"]
        const held = yield* Program.outcome(["recover", "--url", urls.b, "--give-up", "a"], as("admin"))
        assert.strictEqual(held.code, 1)
        assert.include(held.stderr, "a votes and can be reached")
        const refused = yield* Program.outcome([...lost, "--json"], as("write"))
        assert.strictEqual(refused.code, 1)
        assert.deepInclude(JSON.parse(refused.stderr), { error: "forbidden" })
        const done = yield* Program.outcome([...lost, "--yes"], as("admin"))
        assert.strictEqual(done.code, 0, done.stderr)
        // The other one finds two that vote, and needs nothing.
        yield* Set.ready(Object.values(urls))
        const read = yield* Program.outcome(["get", "n", "k"], as("write"))
        assert.strictEqual(read.stdout, "kept")
      }),
    timeout
  )
})
