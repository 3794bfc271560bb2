import { execFile } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { dist } from "./support/program.ts"

const run = (...flags: ReadonlyArray<string>) =>
  Effect.callback<{ readonly code: unknown; readonly output: string }>((resume) => {
    execFile(process.execPath, [dist("main.js"), ...flags], (error, stdout, stderr) =>
      resume(Effect.succeed({ code: error?.code ?? 0, output: stdout + stderr }))
    )
  })

describe("a bad flag", () => {
  it.live("is answered in one line, with the one that was probably meant", () =>
    Effect.gen(function* () {
      for (const [flags, line] of [
        [["--limti", "3"], "demo: there is no --limti, did you mean --limit? (--help shows all flags)\n"],
        [["--colour"], "demo: there is no --colour (--help shows all flags)\n"]
      ] as const) {
        assert.deepStrictEqual(yield* run(...flags), { code: 1, output: line })
      }
      const { output } = yield* run("--replicas", "9")
      assert.match(output, /^demo: .*--replicas.*3 and 7.*\n$/)
      assert.include((yield* run("--help")).output, "--transport")
    })
  )
})
