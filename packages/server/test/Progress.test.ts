import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Progress from "../src/tools/Progress.ts"

const record = (output: { readonly isTTY: boolean; readonly hasColors?: () => boolean }) => {
  const written: Array<string> = []
  const layer = Progress.layer({ ...output, columns: 60, write: (text) => written.push(text) })
  return { written, layer }
}

const work = Effect.gen(function* () {
  const { finish, say, step } = yield* Progress.Progress
  for (let i = 0; i <= 50; i++) yield* step("import", i, 50)
  yield* say("something happened")
  yield* finish
  yield* say("done")
})

describe("progress", () => {
  it.effect("is a bar on a terminal, redrawn in place, with what is said above it", () =>
    Effect.gen(function* () {
      const { layer, written } = record({ isTTY: true })
      yield* Effect.provide(work, layer)
      const bar = Progress.bar("import", 50, 50, 60)
      // On the clock of a test no time passes, so only the end is drawn.
      assert.deepStrictEqual(written, [bar, `\r\u001b[2Ksomething happened\n${bar}`, "\n", "done\n"])
    })
  )

  it.effect("is a line for every tenth elsewhere, without any control characters", () =>
    Effect.gen(function* () {
      const { layer, written } = record({ isTTY: false })
      yield* Effect.provide(work, layer)
      assert.deepStrictEqual(written, [
        ...Array.from({ length: 10 }, (_, i) => `  import      ${(i + 1) * 5} of 50\n`),
        "something happened\n",
        "done\n"
      ])
    })
  )

  it.effect("says how something is meant in a colour where there are some, and nowhere else", () =>
    Effect.gen(function* () {
      const say = Effect.flatMap(Progress.Progress, ({ say }) => say("all \u001b[2J is well", "good"))
      const plain = "all \\u001b[2J is well"
      for (const [output, expected] of [
        [{ isTTY: true, hasColors: () => true }, `\u001b[32m${plain}\u001b[39m\n`],
        [{ isTTY: true, hasColors: () => false }, `${plain}\n`],
        [{ isTTY: true }, `${plain}\n`],
        [{ isTTY: false, hasColors: () => true }, `${plain}\n`]
      ] as const) {
        const { layer, written } = record(output)
        yield* Effect.provide(say, layer)
        assert.deepStrictEqual(written, [expected])
      }
    })
  )

  it("fits the terminal", () => {
    for (const columns of [10, 40, 60, 80, 200]) {
      for (const done of [0, 1, 999_999, 1_000_000, 2_000_000]) {
        assert.isBelow(Progress.bar("catch-up", done, 1_000_000, columns).length, columns)
      }
    }
    assert.match(Progress.bar("import", 0, 0, 80), /█ 100 %/)
  })
})

describe("printable", () => {
  it("shows what would move the cursor, and leaves line breaks and all other text alone", () => {
    assert.strictEqual(Progress.printable("a\u001b[2Jb\u0007\u009b1m\r"), "a\\u001b[2Jb\\u0007\\u009b1m\\u000d")
    assert.strictEqual(Progress.printable("one\ntwo é € 😀"), "one\ntwo é € 😀")
  })
})
