/**
 * The processes that are measured: started by script, asked by line, and ended by their id with the scope, whatever
 * happens.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { extname } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect, Schema, type Scope } from "effect"
import { CliError } from "effect/cli"
import type { Run, Sample } from "./ClosedLoop.ts"
import type { Held } from "./Held.ts"
import { ready, type Status } from "./Lines.ts"

/** A process did not start, ended early, or did not answer. */
export class ProcessFailed extends Schema.TaggedError<ProcessFailed>()("ProcessFailed", {
  script: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.script}: ${this.detail}`
  }
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** A process that runs. */
export interface Child {
  readonly pid: number
  readonly measure: (run: Run) => Effect.Effect<Sample, ProcessFailed>
  /** For replica processes. Waits for the measurement under way. */
  readonly status: Effect.Effect<Status, ProcessFailed>
  /** For replica processes: has what may go taken out of its logs, and waits for the end of that. */
  readonly compact: Effect.Effect<Status, ProcessFailed>
  /** How long its event loop was held at most since this was asked before; the first time it only begins to look. */
  readonly held: Effect.Effect<Held, ProcessFailed>
  /** Stops it in order, as an operator does: SIGTERM, and wait. */
  readonly stop: Effect.Effect<void>
}

/** Starts a script of this folder, by its name without extension, and waits until it is ready. */
export const start = (
  script: string,
  config: unknown,
  nodeFlags: ReadonlyArray<string> = []
): Effect.Effect<Child, ProcessFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const path = fileURLToPath(new URL(`./${script}${extname(import.meta.url)}`, import.meta.url))
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, [...nodeFlags, path, JSON.stringify(config)])),
      (child) => end(child, () => child.stdin?.end())
    )
    let complaint = ""
    child.stderr.on("data", (chunk) => (complaint = (complaint + String(chunk)).slice(-complaintLength)))
    // A process that is gone is noticed when its output ends.
    child.stdin.on("error", () => undefined)
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const failed = (detail: string) => Effect.fail(new ProcessFailed({ script, detail: `${detail}\n${complaint}` }))
    const next = (seconds: number) =>
      Effect.callback<string, ProcessFailed>((resume) => {
        lines.next().then(
          (line) => resume(line.done === true ? failed("ended") : Effect.succeed(line.value)),
          (cause) => resume(failed(String(cause)))
        )
      }).pipe(
        Effect.timeoutOrElse({ duration: seconds * 1000, orElse: () => failed(`has not answered in ${seconds} s`) })
      )
    const ask = <A>(line: unknown, seconds: number) =>
      Effect.suspend(() => {
        child.stdin.write(`${JSON.stringify(line)}\n`)
        return Effect.map(next(seconds), (answer): A => JSON.parse(answer))
      })
    const said = yield* next(readySeconds)
    if (said !== ready) return yield* failed(`cannot start: ${said}`)
    return {
      pid: child.pid!,
      measure: (run) =>
        ask<Sample>(run, run.warmup + run.seconds + (run.reads === undefined ? 0 : fillSeconds) + graceSeconds),
      status: ask<Status>("status", graceSeconds),
      compact: ask<Status>("compact", compactSeconds),
      held: ask<Held>("held", graceSeconds),
      stop: end(child, () => child.kill("SIGTERM"))
    }
  })

/** Tells a process to end, and waits until it has; one that does not is killed. */
export const end = (child: ChildProcess, tell: () => void): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resume(Effect.void)
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000)
    child.once("exit", () => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    tell()
  })

// ---------------------------------------------------------------------------------------------------------------------

const complaintLength = 2000

/** A replica may have an index to build before it is ready. */
const readySeconds = 120

/** How long it may take to go over all logs. */
const compactSeconds = 300

/** Who is asked for records may have to write all of them first. */
const fillSeconds = 600

/** How much longer than it should an answer may take. */
const graceSeconds = 60
