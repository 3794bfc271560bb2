/** A replica process: what it says when it cannot start, and how it ends. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Ports from "../../../packages/server/test/support/ports.ts"
import { Effect } from "effect"
import * as Program from "./support/program.ts"

const timeout = 120_000

const setUp = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-replica-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  writeFileSync(join(folder, "secret"), "a secret of thirty-two bytes, or more")
  const [port] = yield* Ports.free(1)
  const start = (name: string, transport: "http" | "ws") =>
    Program.run(
      [
        JSON.stringify({
          cluster: "test",
          id: "a",
          folder: join(folder, name),
          port,
          members: { a: `http://127.0.0.1:${port}` },
          proof: { secretFile: join(folder, "secret") },
          policy: { n: 1, w: 1, ackTimeoutMillis: 2000, order: "clock", unavailable: "refuse" },
          transport,
          verbose: true
        })
      ],
      { program: "replica.js" }
    )
  return { port: port!, start }
})

describe("a replica process", () => {
  for (const transport of ["http", "ws"] as const) {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      it.live(
        `L68 stops in order on ${signal}, which is no failure, over ${transport}`,
        () =>
          Effect.gen(function* () {
            const { start } = yield* setUp
            const replica = yield* start("one", transport)
            yield* replica.wrote('"ready":"a"')
            yield* replica.signal(signal)
            assert.strictEqual(yield* replica.ended, 0)
          }),
        timeout
      )
    }
  }

  it.live(
    "L68 says at once which port is taken",
    () =>
      Effect.gen(function* () {
        const { port, start } = yield* setUp
        const first = yield* start("one", "http")
        yield* first.wrote('"ready":"a"')
        const second = yield* start("two", "http")
        assert.strictEqual(yield* second.ended, 1)
        assert.include(second.output(), `EADDRINUSE: address already in use 127.0.0.1:${port}`)
      }),
    timeout
  )
})

describe("the demo", () => {
  it.live.skipIf(process.platform !== "linux")(
    "L68 says at once that a folder cannot be made, and why",
    () =>
      Effect.gen(function* () {
        const demo = yield* Program.run(["--limit", "5", "--dir", "/proc/x"])
        assert.strictEqual(yield* demo.ended, 1)
        assert.match(demo.output(), /^\s*ERROR\s+--dir: \/proc\/x cannot be made: ENOENT.*; give another\s*$/)
      }),
    timeout
  )
})
