import { execFile, spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Program from "./support/program.ts"

const script = fileURLToPath(new URL("../dist/alerts.js", import.meta.url))
const isInstalled = spawnSync("prometheus", ["--version"]).error === undefined

describe.skipIf(!isInstalled)("a real Prometheus (skipped where Debian's `prometheus` is not installed)", () => {
  it.live(
    "sees the lag of a stopped replica grow, fires, and clears when it is back",
    () =>
      Effect.gen(function* () {
        const said = yield* Effect.callback<{ readonly code: number | string; readonly output: string }>((resume) => {
          const child = execFile(process.execPath, [script], (error, stdout, stderr) =>
            resume(Effect.succeed({ code: error?.code ?? 0, output: `${stdout}${stderr}` }))
          )
          return Effect.sync(() => child.kill())
        })
        assert.strictEqual(said.code, 0, said.output)
        const lines = said.output.split("\n")
        const killed = lines.findIndex((line) => line.includes("c was killed"))
        const fires = lines.findIndex((line) => line.includes("QuorumPeerLagging: c misses entries of a"))
        const clear = lines.findIndex((line) => line.includes("c has caught up, and nothing fires"))
        assert.isTrue(0 <= killed && killed < fires && fires < clear, said.output)
      }),
    { timeout: 180_000 }
  )

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(
      `L68 stops in order in the middle of it on ${signal}, which is no failure`,
      () =>
        Effect.gen(function* () {
          const program = yield* Program.run([], { program: "alerts.js" })
          yield* program.wrote("3 replicas run")
          const children = program.children()
          assert.strictEqual(children.length, 3)
          yield* program.signal(signal)
          assert.strictEqual(yield* program.ended, 0, program.output())
          assert.include(program.output(), "Stopped, and the replicas and Prometheus")
          assert.deepStrictEqual(children.filter(Program.runs), [])
        }),
      { timeout: 120_000 }
    )
  }
})

describe("the alerts, without Prometheus", () => {
  it.live("say what to install", () =>
    Effect.gen(function* () {
      const said = yield* Effect.callback<{ readonly code: number | string; readonly output: string }>((resume) => {
        const child = execFile(process.execPath, [script], { env: { PATH: "/nowhere" } }, (error, stdout, stderr) =>
          resume(Effect.succeed({ code: error?.code ?? 0, output: `${stdout}${stderr}` }))
        )
        return Effect.sync(() => child.kill())
      })
      assert.strictEqual(said.code, 1, said.output)
      assert.include(said.output, "apt-get install prometheus")
    })
  )
})
