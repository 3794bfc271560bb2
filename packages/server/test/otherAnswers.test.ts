/** What the commands that ask make of an answer that no replica gives: they say so, and end in their time. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Program from "./support/program.ts"
import { stub } from "./support/stub.ts"

const timeout = 120_000

describe("what is answered by no replica", () => {
  for (const [name, status, body] of [
    ["a page", 200, "<html>\n"],
    ["an object", 200, "{}\n"],
    ["null", 200, "null\n"],
    ["a page that is not there", 404, "<html>"],
    ["an error of something else", 500, '{"error":5,"message":null}']
  ] as const) {
    it.live(
      `is said to be that, and is not waited for: ${name}`,
      () =>
        Effect.gen(function* () {
          const { url } = yield* stub((_, response) => void response.writeHead(status).end(body))
          const lines = join(yield* Program.folder, "lines.jsonl")
          writeFileSync(lines, '{"namespace":"n","key":"k","value":1}\n')
          const commands = [
            ["put", "n", "k", "v"],
            ["ls"],
            ["ls", "n"],
            ["export"],
            ["watch", "n", "--until-now"],
            ["recover", "--give-up", "c"],
            ["import", lines]
          ]
          const run = (args: ReadonlyArray<string>) =>
            Program.outcome([...args, "--json", "--timeout", "1"], { env: { QUORUM_URL: url } })
          const ended = yield* Effect.forEach(commands, run, { concurrency: 2 })
          for (const [i, { code, stderr }] of ended.entries()) {
            const { message } = JSON.parse(stderr) as { readonly message: string }
            assert.strictEqual(code, 1, stderr)
            assert.match(message, /is not a replica's, status \d+/, commands[i]!.join(" "))
          }
        }),
      timeout
    )
  }

  it.live(
    "is given up in the time of the command: nothing at all",
    () =>
      Effect.gen(function* () {
        const waited: Array<number> = []
        const { url } = yield* stub((_, response) => {
          const begun = performance.now()
          response.on("close", () => waited.push(performance.now() - begun))
        })
        for (const args of [["ls", "n"], ["export"], ["recover", "--give-up", "c"], ["watch", "n", "--until-now"]]) {
          const { code } = yield* Program.outcome([...args, "--json", "--timeout", "1"], { env: { QUORUM_URL: url } })
          assert.strictEqual(code, 1, args.join(" "))
        }
        assert.isAtLeast(waited.length, 4)
        assert.isBelow(Math.max(...waited), 3000)
      }),
    timeout
  )
})
