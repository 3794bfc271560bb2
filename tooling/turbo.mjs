// Runs Turborepo from the root, without its telemetry: `node tooling/turbo.mjs build [flags of turbo run]`.
import { spawn } from "node:child_process"
import { constants } from "node:os"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("..", import.meta.url))

const turboBin = fileURLToPath(import.meta.resolve("turbo/bin/turbo"))

/**
 * Resolves to the exit code of `turbo run`. With `quiet`, its output is shown only when it failed.
 * Ctrl-C reaches turbo as well as this process, so this one only waits for turbo to end.
 */
export const turboRun = (args, { quiet = false } = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [turboBin, "run", ...args], {
      cwd: root,
      env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1" },
      stdio: quiet ? ["ignore", "pipe", "pipe"] : "inherit"
    })
    const output = []
    child.stdout?.on("data", (chunk) => output.push(chunk))
    child.stderr?.on("data", (chunk) => output.push(chunk))

    const waitForChild = () => {}
    process.on("SIGINT", waitForChild)
    child.on("error", reject)
    child.on("close", (code, signal) => {
      process.off("SIGINT", waitForChild)
      const status = code ?? 128 + constants.signals[signal]
      if (status !== 0) process.stderr.write(Buffer.concat(output))
      resolve(status)
    })
  })

if (import.meta.main) process.exitCode = await turboRun(process.argv.slice(2))
