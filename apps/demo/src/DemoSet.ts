/**
 * The replica processes of a demo: started, killed with SIGKILL, started again on the same port and folder, and ended
 * with the scope, whatever happens. Every process is known by the id under which it was started; nothing is ended by
 * name.
 */
import { randomBytes } from "node:crypto"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type QuorumPolicy, ReplicaId } from "@quorum/core"
import { Folder, Ports } from "@quorum/server/tools"
import { Deferred, Effect, Exit, Fiber, Schedule, Schema, Scope, Stream } from "effect"
import { CliError } from "effect/cli"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import type { Certificates } from "./Certificates.ts"
import { FromArgument, FromReadyLine, type ReplicaConfig, type Store, type Transport } from "./ReplicaConfig.ts"

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

/** One replica of the demo, running or not. */
export interface Member {
  readonly id: ReplicaId.ReplicaId
  readonly url: string
  readonly port: number
  readonly folder: string
}

/** How a demo's replicas are started. */
export interface Options {
  /** The compiled `replica.js`. */
  readonly script: string
  readonly name: string
  /** The folder that holds one folder per replica. */
  readonly folder: string
  /** One per replica; the replicas are called a, b, c … */
  readonly ports: ReadonlyArray<number>
  readonly policy: QuorumPolicy.QuorumPolicy
  readonly transport: Transport
  /** On what they keep their logs; SQLite unless given. */
  readonly store?: Store
  /** The certificates by which the members know each other, instead of a secret. */
  readonly certificates?: Certificates | undefined
  readonly verbose?: boolean
  /** What the environment of a replica's process has beside that of this one. */
  readonly env?: (id: ReplicaId.ReplicaId) => Readonly<Record<string, string>>
}

/** The replica set of a demo. */
export interface DemoSet {
  readonly members: ReadonlyArray<Member>
  readonly policy: QuorumPolicy.QuorumPolicy
  readonly transport: Transport
  /** The members that are running and take requests, in order. */
  readonly alive: () => ReadonlyArray<Member>
  /** Starts a replica and waits until it takes requests. */
  readonly start: (member: Member) => Effect.Effect<void, ReplicaFailed>
  /** From its next start on, the clock of a replica is ahead by so many milliseconds; behind when below 0. */
  readonly shiftClock: (member: Member, millis: number) => void
  /** Runs something while a replica stands still (SIGSTOP), and lets it go on (SIGCONT) whatever happens. */
  readonly whileStopped: <A, E, R>(member: Member, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Sends SIGKILL. Synchronous, so that what is in flight can be counted in the same moment. Returns the process id. */
  readonly killUnsafe: (member: Member) => number
  /** Waits until the process of a killed member is gone. */
  readonly gone: (member: Member) => Effect.Effect<void>
  /** The process of a member that runs. */
  readonly pid: (member: Member) => number | undefined
  /** The most memory that a replica ever held, in MB of 2^20 bytes; `undefined` where the system does not tell. */
  readonly peakMb: (member: Member) => number | undefined
  /** Replicas that ended although nobody had killed them, and how. */
  readonly crashes: () => ReadonlyArray<string>
}

/** What so many replicas are called: a, b, c … */
export const idsOf = (count: number): ReadonlyArray<ReplicaId.ReplicaId> =>
  Array.from({ length: count }, (_, i) => ReplicaId.make(String.fromCharCode(97 + i)))

/** Prepares the replicas; none is running yet. They end with the scope. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
  const ids = idsOf(options.ports.length)
  const members = options.ports.map((port, i): Member => {
    const id = ids[i]!
    const scheme = options.certificates === undefined ? "http" : "https"
    return { id, port, url: `${scheme}://${Ports.host}:${port}`, folder: join(options.folder, id) }
  })
  const urls = Object.fromEntries(members.map(({ id, url }) => [id, url])) as ReplicaConfig["members"]
  const processes = new Map<Member, Process>()
  const peaks = new Map<Member, number>()
  const shifts = new Map<Member, number>()
  const crashes: Array<string> = []
  const secretFile = join(options.folder, "secret")
  yield* Effect.orDie(Folder.make(options.folder))
  yield* Effect.sync(() => {
    rmSync(secretFile, { force: true })
    if (options.certificates === undefined) {
      writeFileSync(secretFile, randomBytes(32).toString("hex"), { mode: 0o600 })
    }
  })

  const argument = (member: Member): string =>
    Schema.encodeSync(FromArgument)({
      cluster: options.name,
      id: member.id,
      folder: member.folder,
      port: member.port,
      members: urls,
      proof: options.certificates?.filesOf(member.id) ?? { secretFile },
      policy: options.policy,
      transport: options.transport,
      ...(options.store === undefined ? {} : { store: options.store }),
      clockShiftMillis: shifts.get(member) ?? 0,
      verbose: options.verbose ?? false
    })

  const samplePeak = (member: Member): void => {
    const state = processes.get(member)?.state
    if (state?._tag !== "Ready") return
    const mb = peakOf(state.pid)
    if (mb !== undefined) peaks.set(member, Math.max(mb, peaks.get(member) ?? 0))
  }

  yield* Effect.sync(() => members.forEach(samplePeak)).pipe(
    Effect.repeat(Schedule.spaced(sampleMillis)),
    Effect.forkScoped
  )

  /** One process from its start to its end. */
  const live = Effect.fnUntraced(function* (member: Member, process: Process) {
    yield* Folder.make(member.folder)
    const command = ChildProcess.make(nodePath, [...nodeFlags, options.script, argument(member)], {
      // The replica ends when this pipe does, so it never outlives the demo.
      stdin: "pipe",
      stdout: "pipe",
      stderr: options.verbose === true ? "inherit" : "pipe",
      env: options.env?.(member.id) ?? {},
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
    if (state._tag === "Ready") crashes.push(`replica ${member.id} was not killed, and yet ${detail}`)
    else yield* Deferred.fail(process.ready, new ReplicaFailed({ id: member.id, detail }))
  }, Effect.scoped)

  const start = Effect.fnUntraced(function* (member: Member) {
    const failed = (detail: string) => new ReplicaFailed({ id: member.id, detail })
    const process: Process = { ready: Deferred.makeUnsafe(), state: { _tag: "Starting" } }
    processes.set(member, process)
    const life = yield* live(member, process).pipe(
      Effect.catch((error) => Deferred.fail(process.ready, failed(error.message))),
      Effect.forkIn(scope)
    )
    process.life = life
    yield* Deferred.await(process.ready).pipe(
      Effect.timeoutOrElse({
        duration: startMillis,
        orElse: () => Effect.fail(failed(`it was not ready after ${startMillis / 1000} seconds`))
      }),
      Effect.onError(() => Fiber.interrupt(life))
    )
  })

  const pid = (member: Member): number | undefined => {
    const state = processes.get(member)?.state
    return state?._tag === "Ready" ? state.pid : undefined
  }

  return {
    members,
    policy: options.policy,
    transport: options.transport,
    alive: () => members.filter((member) => processes.get(member)?.state._tag === "Ready"),
    start,
    shiftClock: (member, millis) => void shifts.set(member, millis),
    killUnsafe: (member) => {
      const victim = processes.get(member)
      if (victim?.state._tag !== "Ready") throw new Error(`replica ${member.id} is not running`)
      const { pid } = victim.state
      samplePeak(member)
      process.kill(pid, "SIGKILL")
      victim.state = { _tag: "Gone" }
      return pid
    },
    gone: (member) =>
      Effect.suspend(() => {
        const life = processes.get(member)?.life
        return life === undefined ? Effect.void : Effect.asVoid(Fiber.await(life))
      }),
    pid,
    whileStopped: (member, effect) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          const stopped = pid(member)
          if (stopped !== undefined) process.kill(stopped, "SIGSTOP")
          return stopped
        }),
        () => effect,
        // It may have been killed meanwhile.
        (stopped) =>
          Effect.sync(() => void (stopped !== undefined && stopped === pid(member) && process.kill(stopped, "SIGCONT")))
      ),
    peakMb: (member) => {
      samplePeak(member)
      return peaks.get(member)
    },
    crashes: () => crashes
  } satisfies DemoSet
})

// ---------------------------------------------------------------------------------------------------------------------

interface Process {
  readonly ready: Deferred.Deferred<void, ReplicaFailed>
  /** `Gone` as soon as it was killed or has ended. */
  state: { readonly _tag: "Starting" | "Gone" } | { readonly _tag: "Ready"; readonly pid: number }
  life?: Fiber.Fiber<unknown>
}

const nodePath = process.execPath

/** A smaller nursery than Node's default: about 80 MB less for a replica under load, and no slower. */
const nodeFlags = ["--max-semi-space-size=8"]

/** How long a replica may take to start, and to stop before it is killed, in milliseconds. */
const startMillis = 30_000
const stopMillis = 6000

const sampleMillis = 250

/** How much of what a replica said on standard error is kept. */
const complaintLength = 2000

/** Linux keeps the high-water mark of a process's memory. */
const peakOf = (pid: number): number | undefined => {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    return kilobytes === undefined ? undefined : Math.round(Number(kilobytes) / 102.4) / 10
  } catch {
    return undefined
  }
}
