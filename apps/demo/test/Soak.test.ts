/** The soak as a process. */
import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem } from "effect"
import * as Program from "./support/program.ts"

describe("the soak, as a process", () => {
  it.live(
    "stops in order in the middle of a run, and leaves nothing behind",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const tmp = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
        const soak = yield* Program.run(["--writers", "4"], { program: "soak.js", tmp })
        yield* Program.until(() => soak.children().length === 3)
        const children = soak.children()
        yield* soak.signal("SIGINT")
        assert.strictEqual(yield* soak.ended, 0, soak.output())
        assert.include(soak.output(), "Stopped, and the replicas")
        assert.deepStrictEqual(children.filter(Program.runs), [])
        assert.deepStrictEqual(yield* fs.readDirectory(tmp), [])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    { timeout: 60_000 }
  )
})
