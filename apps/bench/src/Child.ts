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

/** A process did not start, or ended early. */
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
      (child) => end(child)
    )
    let complaint = ""
    child.stderr.on("data", (chunk) => (complaint = (complaint + String(chunk)).slice(-complaintLength)))
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const next = Effect.callback<string, ProcessFailed>((resume) => {
      const failed = (detail: string) => Effect.fail(new ProcessFailed({ script, detail: `${detail}\n${complaint}` }))
      lines.next().then(
        (line) => resume(line.done === true ? failed("ended") : Effect.succeed(line.value)),
        (cause) => resume(failed(String(cause)))
      )
    })
    yield* Effect.timeoutOrElse(next, {
      duration: "30 seconds",
      orElse: () => Effect.fail(new ProcessFailed({ script, detail: `is not ready after 30 s\n${complaint}` }))
    })
    return {
      pid: child.pid!,
      measure: (run) =>
        Effect.suspend(() => {
          child.stdin.write(`${JSON.stringify(run)}\n`)
          return Effect.map(next, (line): Sample => JSON.parse(line))
        })
    }
  })

// ---------------------------------------------------------------------------------------------------------------------

const complaintLength = 2000

/** A process ends by itself when its input does; one that does not is killed. */
const end = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resume(Effect.void)
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000)
    child.once("exit", () => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    child.stdin?.end()
  })
