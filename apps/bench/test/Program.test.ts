import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { expect, it, vi } from "vitest"
import * as Program from "../src/others/Program.ts"

const script = (source: string): Program.Program => ({
  name: "script",
  command: process.execPath,
  args: ["-e", source],
  folder: tmpdir()
})

it("says how a program ended that was never ready, and what it said last", async () => {
  const program = script("console.error('the port is taken'); process.exitCode = 3")
  const failure = await Program.start(program, /ready/).pipe(Effect.flip, Effect.scoped, Effect.runPromise)
  expect(failure.message).toContain("script: ended with 3\nthe port is taken")
})

it("fails when a program that runs to its end does not end well", async () => {
  await Effect.runPromise(Program.run(script("")))
  const failure = await Effect.runPromise(Effect.flip(Program.run(script("process.exit(1)"))))
  expect(failure.message).toContain("script: ended with 1")
})

const canLeash =
  process.platform === "linux" && Program.missing({ command: "setpriv", debianPackage: "util-linux" }) === undefined

/** Whether a process runs. One that has ended is a zombie for as long as nobody asks how it ended. */
const runs = (pid: number): boolean => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

it.runIf(canLeash)("leaves no program behind when the process that started it is killed", async () => {
  const path = fileURLToPath(new URL("support/starter.ts", import.meta.url))
  const starter = spawn(process.execPath, [path], { stdio: ["ignore", "pipe", "inherit"] })
  const [line] = await once(createInterface({ input: starter.stdout }), "line")
  const pid = Number(line)
  expect(runs(pid)).toBe(true)
  starter.kill("SIGKILL")
  await vi.waitFor(() => expect(runs(pid)).toBe(false), { timeout: 10_000 })
})
