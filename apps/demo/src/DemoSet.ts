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
import { Deferred, Effect, Fiber, Schedule, Schema, Scope } from "effect"
import { ChildProcessSpawner } from "effect/process"
import type { Certificates } from "./Certificates.ts"
import { FromArgument, type ReplicaConfig, type Store, type Transport } from "./ReplicaConfig.ts"
import * as ReplicaProcess from "./ReplicaProcess.ts"

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
  readonly start: (member: Member) => Effect.Effect<void, ReplicaProcess.ReplicaFailed>
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
  const processes = new Map<Member, ReplicaProcess.ReplicaProcess>()
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

  const live = (member: Member, process: ReplicaProcess.ReplicaProcess) =>
    ReplicaProcess.run(process, member, {
      spawner,
      script: options.script,
      argument: argument(member),
      env: options.env?.(member.id) ?? {},
      verbose: options.verbose ?? false,
      onCrash: (how) => void crashes.push(how)
    })

  const start = Effect.fnUntraced(function* (member: Member) {
    const failed = (detail: string) => new ReplicaProcess.ReplicaFailed({ id: member.id, detail })
    const process: ReplicaProcess.ReplicaProcess = { ready: Deferred.makeUnsafe(), state: { _tag: "Starting" } }
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

/** How long a replica may take to start, in milliseconds. */
const startMillis = 30_000

const sampleMillis = 250

/** Linux keeps the high-water mark of a process's memory. */
const peakOf = (pid: number): number | undefined => {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    return kilobytes === undefined ? undefined : Math.round(Number(kilobytes) / 102.4) / 10
  } catch {
    return undefined
  }
}
