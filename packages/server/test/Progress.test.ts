import { statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Progress from "../src/tools/Progress.ts"
import * as Ports from "./support/ports.ts"
import * as Program from "./support/program.ts"
import * as Set from "./support/set.ts"

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

  it.effect(
    "is how much there is so far where nobody knows how much it will be: redrawn, or said when it has doubled",
    () =>
      Effect.gen(function* () {
        const work = Effect.gen(function* () {
          const { finish, step } = yield* Progress.Progress
          for (const done of [999, 1000, 1999, 2500, 4999, 5000]) {
            yield* step("import", done, undefined, "lines")
            yield* TestClock.adjust(50)
          }
          yield* finish
          yield* step("import", 1001, undefined, "lines")
        })
        const elsewhere = record({ isTTY: false })
        yield* Effect.provide(work, elsewhere.layer)
        const lines = ["1,000", "2,500", "5,000", "1,001"].map((count) => `  import      ${count} lines\n`)
        assert.deepStrictEqual(elsewhere.written, lines)
        const terminal = record({ isTTY: true })
        yield* Effect.provide(work, terminal.layer)
        const bars = ["1,000", "1,999", "2,500", "4,999", "5,000"].map(
          (count) => `\r\u001b[2K  import      ${count} lines`
        )
        assert.deepStrictEqual(terminal.written, [
          "  import      999 lines",
          ...bars,
          "\n",
          "  import      1,001 lines"
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
    assert.isBelow(Progress.bar("import", 1_000_000, undefined, 20, "lines").length, 20)
    assert.match(Progress.bar("import", 0, 0, 80), /█ 100 %/)
    assert.match(Progress.bar("backup", 5, 10, 80, "bytes"), /░  50 %  5 of 10 bytes$/)
  })

  it.live(
    "is said by the commands that take long, on standard error, and not to programs",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const [port] = yield* Ports.free(1)
        const url = `http://${Ports.host}:${port}`
        const data = join(folder, "a")
        const replica = yield* Program.run(["serve", "--id", "a", "--data", data, "--port", String(port)])
        yield* replica.wrote("listens")
        yield* Set.ready([url])
        const said = Effect.fnUntraced(function* (args: ReadonlyArray<string>, input?: string) {
          const env = { QUORUM_URL: url }
          const { code, stderr } = yield* Program.outcome(args, input === undefined ? { env } : { env, input })
          assert.strictEqual(code, 0, stderr)
          return stderr
        })
        const lines = Array.from({ length: 3000 }, (_, i) => `${JSON.stringify({ id: i, text: "x".repeat(100) })}\n`)
        // In pieces as the pipe has them; how many lines are in one is its own affair.
        assert.match(yield* said(["import", "-"], lines.join("")), /^(?: {2}import {6}[123],\d{3} lines\n){1,2}$/)
        const [exported, backup] = [join(folder, "all.jsonl"), join(folder, "all.backup")]
        const written = yield* said(["export", "--output", exported])
        assert.match(written, /^ {2}export {6}1,000 records\n {2}export {6}2,000 records\n3,000 records in /)
        const size = (file: string) => statSync(file).size.toLocaleString("en-US")
        assert.include(
          yield* said(["import", exported]),
          `  import      ${size(exported)} of ${size(exported)} bytes\n`
        )
        const taken = yield* said(["backup", backup])
        assert.match(taken, /^(?: {2}backup {6}[\d,]+ of [\d,]+ bytes\n)+$/)
        assert.include(taken, `  backup      ${size(backup)} of ${size(backup)} bytes\n`)

        assert.strictEqual(yield* said(["import", "-", "--json"], lines.join("")), "")
        for (const args of [["export"], ["import", exported], ["backup", `${backup}.2`]]) {
          assert.strictEqual(yield* said([...args, "--json"]), "")
        }
      }),
    90_000
  )
})

describe("printable", () => {
  it("shows what would move the cursor, and leaves line breaks and all other text alone", () => {
    assert.strictEqual(Progress.printable("a\u001b[2Jb\u0007\u009b1m\r"), "a\\u001b[2Jb\\u0007\\u009b1m\\u000d")
    assert.strictEqual(Progress.printable("one\ntwo é € 😀"), "one\ntwo é € 😀")
  })

  it("shows what would have the rest of a line read from the other side, and leaves what is written so alone", () => {
    assert.strictEqual(Progress.printable("\u202egnp.exe\u202c\u2066\u2069"), "\\u202egnp.exe\\u202c\\u2066\\u2069")
    assert.strictEqual(Progress.printable("a\u2028b\u2029"), "a\\u2028b\\u2029")
    const plain = "مرحبا\u200f שלום 👨‍👩‍👧 \u2027\u202f\u2065\u206a"
    assert.strictEqual(Progress.printable(plain), plain)
  })
})
