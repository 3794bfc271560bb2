/** The command `quorum` as a process of its own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

/** A running command. */
export interface Program {
  readonly pid: number
  /** What it has written to standard output, and to standard error. */
  readonly stdout: () => string
  readonly stderr: () => string
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits until it has ended: its exit code, or the signal that ended it. */
  readonly ended: Effect.Effect<number | NodeJS.Signals | null>
  /** Waits until it has written something to standard output. Dies when it ends before. */
  readonly wrote: (text: string) => Effect.Effect<void>
}

/** The compiled command. Turborepo builds before it tests; whoever runs vitest by hand has to build before. */
export const main = (): string => {
  const path = fileURLToPath(new URL("../../dist/main.js", import.meta.url))
  if (!existsSync(path)) throw new Error(`${path} is missing: run the build first`)
  return path
}

/** What a command gets beside its flags. */
export interface Options {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** What it reads on standard input, which ends after it unless it stays open; nothing unless given. */
  readonly input?: string | Uint8Array
  readonly staysOpen?: boolean
}

/** Runs a command. It is killed when the scope closes. */
export const run = (flags: ReadonlyArray<string>, { cwd, env = {}, input, staysOpen = false }: Options = {}) =>
  Effect.acquireRelease(
    Effect.sync((): Program & { readonly child: ChildProcess } => {
      const child = spawn(process.execPath, [main(), ...flags], {
        stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
        ...(cwd === undefined ? {} : { cwd }),
        env: { ...inherited(), NO_COLOR: "1", ...env }
      })
      const said = { stdout: "", stderr: "" }
      for (const name of ["stdout", "stderr"] as const)
        child[name]!.on("data", (chunk) => void (said[name] += String(chunk)))
      if (input !== undefined) child.stdin!.write(input)
      if (input !== undefined && !staysOpen) child.stdin!.end()
      const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals | null)
      return {
        child,
        pid: child.pid!,
        stdout: () => said.stdout,
        stderr: () => said.stderr,
        signal: (signal) => Effect.sync(() => void child.kill(signal)),
        ended: Effect.promise(() => ended),
        wrote: (text) =>
          until(() => {
            if (said.stdout.includes(text)) return true
            if (child.exitCode !== null)
              throw new Error(`it ended without writing ${JSON.stringify(text)}:\n${said.stdout}${said.stderr}`)
            return false
          })
      }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

/** Runs a command to its end. */
export const outcome = (flags: ReadonlyArray<string>, options?: Options) =>
  Effect.scoped(
    Effect.gen(function* () {
      const program = yield* run(flags, options)
      const code = yield* program.ended
      return { code, stdout: program.stdout(), stderr: program.stderr() }
    })
  )

/** Waits until something holds; the test's own limit of time is the only one. */
export const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.andThen(Effect.sleep(20), until(holds))))

/** Whether a process runs. */
export const runs = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The processes that a process has started and that run. */
export const childrenOf = (parent: number): ReadonlyArray<number> =>
  execFileSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, ppid, ...args]) => Number(ppid) === parent && args.some((arg) => arg.endsWith("main.js")))
    .map(([pid]) => Number(pid))

/** A folder that goes with the scope. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-server-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

// ---------------------------------------------------------------------------------------------------------------------

/** The environment of the tests, without settings. */
const inherited = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || name.startsWith("QUORUM_") || name === "NOTIFY_SOCKET" ? [] : [[name, value]]
    )
  )
