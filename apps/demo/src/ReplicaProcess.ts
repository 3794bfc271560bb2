/** The process of a replica: started, heard until it says that it is ready, and watched to its end. */
import { type ReplicaId } from "@quorum/core"
import { Folder } from "@quorum/server/tools"
import { Deferred, Effect, Exit, Fiber, Schema, Stream } from "effect"
import { CliError } from "effect/cli"
import { ChildProcess, type ChildProcessSpawner } from "effect/process"
import { FromReadyLine } from "./ReplicaConfig.ts"

/** A replica process did not start. */
export class ReplicaFailed extends Schema.TaggedError<ReplicaFailed>()("ReplicaFailed", {
  id: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `replica ${this.id} did not start: ${this.detail}`
  }
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** A process of a replica, from its start on. */
export interface ReplicaProcess {
  readonly ready: Deferred.Deferred<void, ReplicaFailed>
  /** `Gone` as soon as it was killed or has ended. */
  state: { readonly _tag: "Starting" | "Gone" } | { readonly _tag: "Ready"; readonly pid: number }
  life?: Fiber.Fiber<unknown>
}

/** How a process is started. */
export interface Options {
  readonly spawner: ChildProcessSpawner.ChildProcessSpawner["Service"]
  /** The compiled `replica.js`. */
  readonly script: string
  readonly argument: string
  /** What its environment has beside that of this process. */
  readonly env: Readonly<Record<string, string>>
  readonly verbose: boolean
  /** Hears of one that ended although nobody had killed it, and how. */
  readonly onCrash: (how: string) => void
}

/** One process from its start to its end. */
export const run = Effect.fnUntraced(function* (
  process: ReplicaProcess,
  { folder, id }: { readonly id: ReplicaId.ReplicaId; readonly folder: string },
  { argument, env, onCrash, script, spawner, verbose }: Options
) {
  yield* Folder.make(folder)
  const command = ChildProcess.make(nodePath, [...nodeFlags, script, argument], {
    // The replica ends when this pipe does, so it never outlives the demo.
    stdin: "pipe",
    stdout: "pipe",
    stderr: verbose ? "inherit" : "pipe",
    env,
    extendEnv: true,
    forceKillAfter: stopMillis
  })
  const { exitCode, pid, stderr, stdout } = yield* spawner.spawn(command)
  let complaint = ""
  const said = yield* stderr.pipe(
    Stream.decodeText(),
    Stream.runForEach((text) => Effect.sync(() => void (complaint = (complaint + text).slice(-complaintLength)))),
    Effect.ignore,
    Effect.forkScoped
  )
  yield* stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) =>
      Effect.andThen(Schema.decodeEffect(FromReadyLine)(line), () => {
        process.state = { _tag: "Ready", pid }
        return Deferred.succeed(process.ready, undefined)
      })
    ),
    Effect.ignore,
    Effect.forkScoped
  )
  const exit = yield* Effect.exit(exitCode)
  const { state } = process
  process.state = { _tag: "Gone" }
  if (state._tag === "Gone") return
  // What it said last may still be in the pipe.
  yield* Effect.timeoutOption(Fiber.await(said), 1000)
  const how = Exit.isSuccess(exit) ? `exit code ${exit.value}` : "a signal"
  const detail = `it ended with ${how}${complaint === "" ? "" : `: ${complaint.trim()}`}`
  if (state._tag === "Ready") onCrash(`replica ${id} was not killed, and yet ${detail}`)
  else yield* Deferred.fail(process.ready, new ReplicaFailed({ id, detail }))
}, Effect.scoped)

// ---------------------------------------------------------------------------------------------------------------------

const nodePath = process.execPath

/** A smaller nursery than Node's default: about 80 MB less for a replica under load, and no slower. */
const nodeFlags = ["--max-semi-space-size=8"]

/** How long a replica may take to stop before it is killed, in milliseconds. */
const stopMillis = 6000

/** How much of what a replica said on standard error is kept. */
const complaintLength = 2000
