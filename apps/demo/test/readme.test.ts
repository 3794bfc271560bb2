import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import * as Ports from "../src/Ports.ts"
import { replica, write } from "./readme/example.ts"

describe("the project's README", () => {
  it("shows the example that is tested here", () => {
    const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
    assert.strictEqual(/```ts\n(.*?)```/s.exec(read("../../../README.md"))?.[1], read("./readme/example.ts"))
  })

  it.live("the example commits a write on a majority of three replicas", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-readme-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const [a, b, c] = yield* Ports.free(3)
      const url = (port: number | undefined) => `http://127.0.0.1:${port}`
      const peers = { a: url(a), b: url(b), c: url(c) }
      yield* Layer.build(Layer.mergeAll(replica("b", peers, join(folder, "b")), replica("c", peers, join(folder, "c"))))
      const said = yield* Effect.provide(write, replica("a", peers, join(folder, "a")))
      assert.match(said, /^a@[0-9a-f]{16}:1 is durable on a and [bc]/)
    }).pipe(Effect.provide(Logger.layer([])))
  )
})
