import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Ports from "../../../packages/server/test/support/ports.ts"
import { Effect, Layer, Logger, Redacted } from "effect"
import * as Http from "./readme/example.ts"
import * as Ws from "./readme/example-ws.ts"

const secret = Redacted.make("a secret of thirty-two bytes, or more")
const textOf = (name: string) => readFileSync(new URL(`./readme/${name}.ts`, import.meta.url), "utf8").split("\n")

describe("the project's README", () => {
  it("the example swaps its transport by one line, and the line that imports it", () => {
    const [http, ws] = [textOf("example"), textOf("example-ws")]
    assert.strictEqual(ws.length, http.length)
    const changed = http.flatMap((line, i) => (line === ws[i] ? [] : [[line.trim(), ws[i]!.trim()]]))
    assert.deepStrictEqual(
      changed.map(([from]) => from),
      [
        'import { HttpNode } from "@quorum/http/node"',
        "HttpNode.serve({ peers, port: Number(new URL(peers[self]).port), secret }),"
      ]
    )
  })

  for (const [name, { replica, write }] of [
    ["HTTP", Http],
    ["WebSocket", Ws]
  ] as const) {
    it.live(`the example commits a write on a majority of three replicas over ${name}`, () =>
      Effect.gen(function* () {
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-readme-"))),
          (path) => Effect.sync(() => rmSync(path, { recursive: true }))
        )
        const [a, b, c] = yield* Ports.free(3)
        const url = (port: number | undefined) => `http://127.0.0.1:${port}`
        const peers = { a: url(a), b: url(b), c: url(c) }
        yield* Layer.build(
          Layer.mergeAll(replica("b", peers, join(folder, "b"), secret), replica("c", peers, join(folder, "c"), secret))
        )
        const said = yield* Effect.provide(write, replica("a", peers, join(folder, "a"), secret))
        assert.match(said, /^a@[0-9a-f]{16}:1\.[0-9a-f]{8} is durable on a and [bc]/)
      }).pipe(Effect.provide(Logger.layer([])))
    )
  }
})
