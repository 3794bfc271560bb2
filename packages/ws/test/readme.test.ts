import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Entry, QuorumWriter } from "@quorum/core"
import { Clock, Context, Effect, Exit, Layer, Logger, Redacted, Scope } from "effect"
import { replica } from "./readme/example.ts"

const secret = Redacted.make("a secret of thirty-two bytes, or more")

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen({ host: "127.0.0.1", port: 0 }, () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

describe("README", () => {
  it.live("three replicas of the example commit a write, and stop at once with their connections open", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-ws-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const [a, b, c] = [yield* freePort, yield* freePort, yield* freePort]
      const peers = { a: `ws://127.0.0.1:${a}`, b: `ws://127.0.0.1:${b}`, c: `ws://127.0.0.1:${c}` }
      const start = Effect.fnUntraced(function* (self: "a" | "b" | "c") {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(replica(self, peers, join(folder, self), secret), scope)
        return { scope, writer: Context.get(context, QuorumWriter.QuorumWriter) }
      })
      const replicas = yield* Effect.all([start("b"), start("c"), start("a")], { concurrency: "unbounded" })
      const { writer } = replicas[2]!
      const receipt = yield* writer.commit(Entry.put("notes", "greeting", "hello"))
      assert.strictEqual(receipt.acked[0]?.replica, "a")
      assert.isAtLeast(receipt.acked.length, 2)
      const stoppedAt = yield* Clock.currentTimeMillis
      for (const { scope } of replicas) yield* Scope.close(scope, Exit.void)
      // Node's server would wait twenty seconds for each.
      assert.isBelow((yield* Clock.currentTimeMillis) - stoppedAt, 15_000)
    }).pipe(Effect.provide(Logger.layer([])))
  )
})
