/** The demo as a process of its own, and the processes below it. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

/** A file of the build. Turborepo builds before it tests; whoever runs vitest by hand has to build before. */
export const dist = (name: string): string => {
  const path = fileURLToPath(new URL(`../../dist/${name}`, import.meta.url))
  if (!existsSync(path)) throw new Error(`${path} is missing: run the build first`)
  return path
}

/** A running demo. */
export interface Program {
  readonly pid: number
  /** What it has written so far, standard output and error together. */
  readonly output: () => string
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Stops reading what it writes, as `head` does after its last line. */
  readonly stopReading: Effect.Effect<void>
  /** Waits until it has ended: its exit code, or the signal that ended it. */
  readonly ended: Effect.Effect<number | NodeJS.Signals | null>
  /** Waits until it has written something. Dies when it ends before. */
  readonly wrote: (text: string) => Effect.Effect<void>
  /** The processes that it has started and that run. */
  readonly children: () => ReadonlyArray<number>
}

/** Runs the demo, or another program of the build. It is killed when the scope closes. */
export const run = (
  flags: ReadonlyArray<string>,
  options: {
    readonly cwd?: string
    readonly tmp?: string
    readonly program?: string
    readonly env?: Readonly<Record<string, string>>
  } = {}
) =>
  Effect.acquireRelease(
    Effect.sync((): Program & { readonly child: ChildProcess } => {
      const child = spawn(process.execPath, [dist(options.program ?? "main.js"), ...flags], {
        // A replica runs until its standard input ends.
        stdio: [options.program === undefined ? "ignore" : "pipe", "pipe", "pipe"],
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        env: {
          ...process.env,
          NO_COLOR: "1",
          ...options.env,
          ...(options.tmp === undefined ? {} : { TMPDIR: options.tmp })
        }
      })
      let output = ""
      for (const stream of [child.stdout, child.stderr]) stream!.on("data", (chunk) => void (output += String(chunk)))
      const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals | null)
      return {
        child,
        pid: child.pid!,
        output: () => output,
        signal: (signal) => Effect.sync(() => void child.kill(signal)),
        stopReading: Effect.sync(() => void child.stdout!.destroy()),
        ended: Effect.promise(() => ended),
        wrote: (text) =>
          until(() => {
            if (output.includes(text)) return true
            if (child.exitCode !== null) throw new Error(`it ended without writing ${JSON.stringify(text)}:\n${output}`)
            return false
          }),
        children: () => childrenOf(child.pid!)
      }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
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

// ---------------------------------------------------------------------------------------------------------------------

const childrenOf = (parent: number): ReadonlyArray<number> =>
  execFileSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, ppid, ...args]) => Number(ppid) === parent && args.some((arg) => arg.endsWith("replica.js")))
    .map(([pid]) => Number(pid))
