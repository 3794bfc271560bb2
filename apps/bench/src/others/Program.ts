/**
 * Programs that are not the benchmark's: found where distributions put them, started by command, ready when they say so, and ended
 * by their id with the scope, whatever happens.
 */
import { spawn, spawnSync } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"
import { Effect, type Scope } from "effect"
import { end, ProcessFailed } from "../Child.ts"

/** How to start a program. */
export interface Program {
  /** What errors call it. */
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** Its working directory. */
  readonly folder: string
  /** Its whole environment besides `PATH`: what the user has set for a server of their own is not for this one. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Who it runs as, if not the user of this process. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  /** What asks it to end (default: SIGTERM). */
  readonly endSignal?: NodeJS.Signals | undefined
}

/** A command, and how it comes to a machine. */
export interface Package {
  readonly command: string
  /** Debian's. */
  readonly debianPackage: string
  /** Where to look first, before the usual places. */
  readonly folders?: ReadonlyArray<string>
}

/** What to say about a command that is not installed; undefined if it is. */
export const missing = (from: Package): string | undefined =>
  pathOf(from) === undefined ? `${from.command} is not installed: apt-get install ${from.debianPackage}` : undefined

/** The path of an installed command. */
export const find = (from: Package): Effect.Effect<string, ProcessFailed> => {
  const path = pathOf(from)
  return path === undefined
    ? Effect.fail(new ProcessFailed({ script: from.command, detail: missing(from)! }))
    : Effect.succeed(path)
}

/** The version that an installed command prints, as "3.4.23". */
export const version = (from: Package): string | undefined => {
  const path = pathOf(from)
  if (path === undefined) return undefined
  const { stdout } = spawnSync(path, ["--version"], { encoding: "utf8", timeout: 10_000 })
  return /\d+(\.\d+)+/.exec(stdout)?.[0]
}

/** Starts a program, and waits until its output matches `ready`. It ends with the scope. Succeeds with its id. */
export const start = (program: Program, ready: RegExp): Effect.Effect<number, ProcessFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const { child, ended, output, said } = yield* spawned(program, ready)
    yield* Effect.promise(() => Promise.race([said, ended])).pipe(
      Effect.filterOrFail(
        (how) => how === undefined,
        (how) => new ProcessFailed({ script: program.name, detail: `${how}\n${output()}` })
      ),
      Effect.timeoutOrElse({
        duration: "30 seconds",
        orElse: () =>
          Effect.fail(new ProcessFailed({ script: program.name, detail: `is not ready after 30 s\n${output()}` }))
      })
    )
    return child.pid!
  })

/** Starts a program that ends by itself: its id, and what it said last, once it has come to a good end. */
export const begin = (program: Program) =>
  Effect.map(spawned(program), ({ child, ended, output }) => ({
    pid: child.pid,
    said: Effect.flatMap(
      Effect.promise(() => ended),
      (how) =>
        how === "ended with 0"
          ? Effect.succeed(output())
          : Effect.fail(new ProcessFailed({ script: program.name, detail: `${how}\n${output()}` }))
    )
  }))

/** Runs a program to its end, which must be a good one. */
export const run = (program: Program): Effect.Effect<void, ProcessFailed> =>
  Effect.flatMap(begin(program), ({ said }) => Effect.asVoid(said)).pipe(Effect.scoped)

// ---------------------------------------------------------------------------------------------------------------------

const outputLength = 2000

const pathOf = ({ command, folders = [] }: Package): string | undefined =>
  [...folders, ...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"]
    .map((folder) => join(folder, command))
    .find(isExecutable)

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Becomes the program after it has asked Linux to kill it with its parent: not even `kill -9` leaves a server behind. */
const leashed = (command: string, args: ReadonlyArray<string>): [string, ReadonlyArray<string>] => {
  const setpriv = process.platform === "linux" ? pathOf({ command: "setpriv", debianPackage: "util-linux" }) : undefined
  return setpriv === undefined ? [command, args] : [setpriv, ["--pdeathsig", "KILL", "--", command, ...args]]
}

const spawned = (program: Program, ready?: RegExp) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { env, folder, user } = program
      const [command, args] = leashed(program.command, program.args)
      const child = spawn(command, args, {
        cwd: folder,
        env: { PATH: process.env.PATH, ...env },
        stdio: ["ignore", "pipe", "pipe"],
        ...user
      })
      let output = ""
      const ended = new Promise<string>((resolve) => {
        child.once("error", (error) => resolve(`did not start: ${error.message}`))
        child.once("close", (code, signal) => resolve(`ended with ${signal ?? code}`))
      })
      const said = new Promise<undefined>((resolve) => {
        const listen = (chunk: string) => {
          output += chunk
          if (ready?.test(output) === true) resolve(undefined)
          output = output.slice(-outputLength)
        }
        child.stdout.setEncoding("utf8").on("data", listen)
        child.stderr.setEncoding("utf8").on("data", listen)
      })
      return { child, ended, said, output: () => output }
    }),
    ({ child }) => end(child, () => child.kill(program.endSignal ?? "SIGTERM"))
  )
