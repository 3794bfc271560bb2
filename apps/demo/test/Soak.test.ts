/** The soak, for a minute. */
import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem } from "effect"
import * as FakeTime from "../src/soak/FakeTime.ts"
import * as Program from "./support/program.ts"

describe("the soak, as a process", () => {
  for (const [transport, store] of [
    ["ws", "sqlite"],
    ["http", "lmdb"]
  ] as const) {
    it.live(
      `AckedIsDurable, LaterWins, AtomicRegister: every promise holds over ${transport} on ${store} while replicas are killed, stopped, wiped and set back`,
      () =>
        Effect.gen(function* () {
          const fs = yield* FileSystem.FileSystem
          const tmp = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
          const flags = ["--minutes", "1", "--transport", transport, "--store", store]
          const soak = yield* Program.run(flags, { program: "soak.js", tmp })
          const ended = yield* soak.ended
          console.log(soak.output())
          assert.strictEqual(ended, 0, soak.output())
          assert.include(soak.output(), `over ${transport} on ${store}`)
          assert.include(soak.output(), "Everything held.")
          const [, shown, of] = /; (\d+) of (\d+) shown to have happened/.exec(soak.output())!
          assert.strictEqual(shown, of)
          assert.match(soak.output(), /^ +[1-9]\S* have two receipts of one stamp, [1-9]\S* are of two keys$/m)
          assert.match(soak.output(), /reads .*, [1-9]\S* linearizable, [1-9]\S* quorum$/m)
          if (FakeTime.make(tmp) !== undefined) assert.match(soak.output(), /clocks +[1-9]\d* jumps seen in answers/)
          for (const kind of [
            "kill",
            "kill two",
            "kill all",
            "pause",
            "pause two",
            "wipe",
            "old folder",
            "wipe alone"
          ]) {
            assert.match(soak.output(), new RegExp(`^ {16}${kind} [abc]`, "m"))
          }
          assert.deepStrictEqual(yield* fs.readDirectory(tmp), [])
        }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
      { timeout: 400_000 }
    )
  }

  it.live(
    "says what is wrong with a flag before it starts anything",
    () =>
      Effect.forEach(
        [
          ["--minutes", "0"],
          ["--seed", "x"],
          ["--faults", "clock"],
          ["--faults", "kill,flood"]
        ] as const,
        (flags) =>
          Effect.gen(function* () {
            const soak = yield* Program.run(flags, { program: "soak.js" })
            assert.strictEqual(yield* soak.ended, 1)
            assert.include(soak.output(), flags[0])
            assert.notInclude(soak.output(), "Soak of")
            assert.notMatch(soak.output(), /\n {4}at /)
          }),
        { discard: true }
      ).pipe(Effect.scoped),
    { timeout: 120_000 }
  )

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
    { timeout: 120_000 }
  )
})
