/** How the command starts. */
import { assert, describe, it } from "@effect/vitest"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import * as Program from "./support/program.ts"

describe("quorum, when it starts", () => {
  it.live("says in one line which Node it needs, on one that is too old", () =>
    Effect.gen(function* () {
      const older = `data:text/javascript,Object.defineProperty(process.versions, "node", { value: "22.18.0" })`
      const command = yield* Program.run(["explain", "--help"], {
        env: { NODE_OPTIONS: `--import "${older.replaceAll('"', '\\"')}"` }
      })
      assert.strictEqual(yield* command.ended, 2)
      assert.strictEqual(command.stderr(), "quorum needs Node 22.19 or newer; this is 22.18.0\n")
      assert.strictEqual(command.stdout(), "")
    }).pipe(Effect.scoped)
  )

  it.live("keeps what Node compiles of it for the next time", () =>
    Effect.gen(function* () {
      const tmp = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-main-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
      )
      const command = yield* Program.run(["explain", "--help"], { env: { TMPDIR: tmp, NODE_COMPILE_CACHE: "" } })
      assert.strictEqual(yield* command.ended, 0)
      assert.isNotEmpty(readdirSync(join(tmp, "node-compile-cache")))
    }).pipe(Effect.scoped)
  )
})
