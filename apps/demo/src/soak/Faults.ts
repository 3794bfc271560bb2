/**
 * What is done to the replicas of a soak while writers write. Every fault says by what it is known to have happened;
 * one of which that cannot be shown counts as a failure of the soak (law L48).
 */
import { cpSync, existsSync, readFileSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import type { Client } from "../Client.ts"
import type { DemoSet, Member } from "../DemoSet.ts"
import * as Compare from "../Compare.ts"
import { logFiles } from "../Stores.ts"
import * as Random from "./Random.ts"
import * as Recovering from "./Recovering.ts"
import type { Load } from "./Workload.ts"

/** A fault that happened, or that could not be shown to have happened. */
export interface Window {
  readonly kind: Kind
  readonly members: ReadonlyArray<string>
  /** By what it is known to have happened; absent when it is not. */
  readonly proof: string | undefined
  /** What must not be after it. */
  readonly problem?: string
}

/** The faults. */
export type Kind = (typeof kinds)[number]

/** All faults, in the order in which the first of each happens. */
export const kinds = ["kill", "pause", "wipe", "kill all", "pause two", "old folder", "kill two", "wipe alone"] as const

/** What faults work on. */
export interface Context {
  readonly set: DemoSet
  readonly client: Client
  readonly load: Load
  readonly random: Random.Random
  /** The processes that were ended. */
  readonly ended: Set<number>
}

/** Makes a fault happen, and waits until it is over. */
export const happen = (context: Context, kind: Kind): Effect.Effect<Window> => {
  const { set, random } = context
  const one = Random.pick(random, set.members)
  const two = set.members.filter((member) => member !== one)
  switch (kind) {
    case "kill":
      return kill(context, kind, [one])
    case "kill all":
      return kill(context, kind, set.members)
    case "kill two":
      return kill(context, kind, two)
    case "pause":
      return pause(context, kind, [one])
    case "pause two":
      return pause(context, kind, two)
    case "wipe":
      return wipe(context, one)
    case "wipe alone":
      return wipeAlone(context, one, two)
    case "old folder":
      return oldFolder(context, one)
  }
}

/** Waits until every replica says that it takes writes. */
export const allReady = ({ client, set }: Pick<Context, "client" | "set">): Effect.Effect<boolean> =>
  within(
    readyMillis,
    Effect.map(Effect.forEach(set.members, client.isReady, { concurrency: "unbounded" }), (ready) =>
      ready.every(Boolean)
    )
  )

// ---------------------------------------------------------------------------------------------------------------------

/** How long it may take until a replica takes writes again, and until one that lost its folder holds what it lost. */
const readyMillis = 60_000

const pollMillis = 10
const settleMillis = 250

/** Asks again and again, for so long. Goes on in the very moment in which it holds. */
const within = (millis: number, question: Effect.Effect<boolean>): Effect.Effect<boolean> => {
  const ask: Effect.Effect<true> = Effect.flatMap(question, (holds) =>
    holds ? Effect.succeed(true) : Effect.andThen(Effect.sleep(pollMillis), ask)
  )
  return Effect.map(Effect.timeoutOption(ask, millis), ({ _tag }) => _tag === "Some")
}

const between = ({ random }: Context, least: number, most: number): number => least + random(most - least)

/** Waits, not for long, for a moment at which all of these replicas are asked something, and says how much. */
const asked = Effect.fnUntraced(function* ({ load }: Context, members: ReadonlyArray<Member>) {
  const inFlight = () => members.map((member) => load.inFlight.get(member) ?? 0)
  yield* within(
    5000,
    Effect.sync(() => inFlight().every((count) => count > 0))
  )
  return inFlight()
})

/** Waits for a moment at which writes are in flight at all of these replicas, and kills them in that moment. */
const killInFlight = Effect.fnUntraced(function* (context: Context, members: ReadonlyArray<Member>) {
  const { set, ended } = context
  const counts = yield* asked(context, members)
  const pids = members.map((member) => set.killUnsafe(member))
  yield* Effect.forEach(members, set.gone, { discard: true })
  for (const pid of pids) ended.add(pid)
  const proof = `process ${pids.join(", ")} ended by SIGKILL with ${counts.join(", ")} requests in flight`
  return pids.some(runs) || counts.some((count) => count === 0) ? undefined : proof
})

const start = ({ set }: Context, members: ReadonlyArray<Member>): Effect.Effect<string | undefined> =>
  Effect.forEach(members, set.start, { concurrency: "unbounded", discard: true }).pipe(
    Effect.match({ onSuccess: () => undefined, onFailure: ({ message }) => message })
  )

/** Starts a replica that lost something: every other time while those that know what stand still. */
const startInDoubt = (context: Context, member: Member): Effect.Effect<string | undefined> => {
  const { set, random } = context
  if (random(2) === 0) return start(context, [member])
  const others = set.members.filter((each) => each !== member)
  const stopped = whileStopped(context, others, Effect.sleep(between(context, 1000, 4000)))
  return Effect.map(Effect.all([start(context, [member]), stopped], { concurrency: "unbounded" }), ([failed]) => failed)
}

const windowOf = (
  kind: Kind,
  members: ReadonlyArray<Member>,
  proof: string | undefined,
  problem: string | undefined
): Window => ({ kind, members: members.map(({ id }) => id), proof, ...(problem === undefined ? {} : { problem }) })

const kill = Effect.fnUntraced(function* (context: Context, kind: Kind, members: ReadonlyArray<Member>) {
  const proof = yield* killInFlight(context, members)
  yield* Effect.sleep(between(context, 50, 2500))
  const failed = yield* start(context, members)
  return windowOf(kind, members, proof, failed)
})

/** Runs something while replicas stand still. */
const whileStopped = <A>(
  { set }: Context,
  members: ReadonlyArray<Member>,
  effect: Effect.Effect<A>
): Effect.Effect<A> => members.reduce((inner, member) => set.whileStopped(member, inner), effect)

/** Stops processes for a while. */
const pause = Effect.fnUntraced(function* (context: Context, kind: Kind, members: ReadonlyArray<Member>) {
  const { set, load } = context
  // While one alone runs of those that start, all writers ask it, and wait there.
  yield* allReady(context)
  const pids = members.flatMap((member) => set.pid(member) ?? [])
  const answers = () => members.reduce((sum, member) => sum + (load.answers.get(member) ?? 0), 0)
  const millis = between(context, 800, 4000)
  const stopped = Effect.gen(function* () {
    // What they had answered before may still be on its way.
    yield* Effect.sleep(settleMillis)
    const before = answers()
    yield* Effect.sleep(millis - settleMillis)
    const waiting = yield* asked(context, members)
    return pids.every(isStopped) && answers() === before && waiting.every((count) => count > 0)
      ? `process ${pids.join(", ")} stopped for ${millis} ms, no answer came, ${waiting.join(", ")} requests waited`
      : undefined
  })
  const shown = yield* whileStopped(context, members, stopped)
  return windowOf(kind, members, pids.length === members.length ? shown : undefined, undefined)
})

/** Deletes all that a replica holds. */
const wipe = Effect.fnUntraced(function* (context: Context, member: Member) {
  const { client } = context
  const before = yield* Effect.option(client.status(member))
  const upTo = new Map(context.load.acknowledgedUpTo)
  const killed = yield* killInFlight(context, [member])
  const bytes = sizeOf(member.folder)
  rmSync(member.folder, { recursive: true })
  const isGone = !existsSync(member.folder)
  const failed = yield* comeBack(context, member, startInDoubt(context, member), upTo)
  const after = yield* Effect.option(client.status(member))
  const isAnother =
    before._tag === "Some" &&
    after._tag === "Some" &&
    before.value.identity.incarnation !== after.value.identity.incarnation
  const proof = killed !== undefined && isGone && bytes > 0 && isAnother
  return windowOf(
    "wipe",
    [member],
    proof ? `${killed}; ${bytes} bytes deleted, and a new incarnation` : undefined,
    failed
  )
})

/**
 * Deletes all that a replica holds when nobody else is there who knows it: one was dead while it was acknowledged, and the
 * other stands still. The empty one and the one that was dead are a majority, and may not act as one.
 */
const wipeAlone = Effect.fnUntraced(function* (
  context: Context,
  member: Member,
  [dead, silent]: ReadonlyArray<Member>
) {
  const { load } = context
  const first = yield* killInFlight(context, [dead!])
  const before = load.acknowledged
  yield* Effect.sleep(between(context, 500, 1500))
  const upTo = new Map(load.acknowledgedUpTo)
  const acknowledged = load.acknowledged - before
  const killed = yield* killInFlight(context, [member])
  const inDoubt = Effect.gen(function* () {
    const failed = yield* start(context, [dead!, member])
    yield* Effect.sleep(between(context, 1000, 2500))
    return failed
  })
  const bytes = sizeOf(member.folder)
  rmSync(member.folder, { recursive: true })
  const problem = yield* comeBack(context, member, whileStopped(context, [silent!], inDoubt), upTo)
  const isShown = first !== undefined && killed !== undefined && bytes > 0 && acknowledged > 0
  const proof = `${killed}; ${acknowledged} writes acknowledged while ${dead!.id} was dead, ${silent!.id} stood still`
  return windowOf("wipe alone", [member], isShown ? proof : undefined, problem)
})

/** Puts the folder of a replica back as it was some seconds and acknowledged writes ago. */
const oldFolder = Effect.fnUntraced(function* (context: Context, member: Member) {
  const { load } = context
  const copy = `${member.folder}.old`
  const first = yield* killInFlight(context, [member])
  cpSync(member.folder, copy, { recursive: true })
  const copied = new Map(load.acknowledgedUpTo)
  const failed = yield* start(context, [member])
  const isReady = yield* within(readyMillis, context.client.isReady(member))
  yield* Effect.sleep(between(context, 1500, 4000))
  const second = yield* killInFlight(context, [member])
  const upTo = new Map(load.acknowledgedUpTo)
  rmSync(member.folder, { recursive: true })
  cpSync(copy, member.folder, { recursive: true })
  rmSync(copy, { recursive: true })
  const own = Array.from(upTo).filter(([log]) => log.startsWith(`${member.id}@`))
  const lost = own.reduce((sum, [log, seq]) => sum + seq - (copied.get(log) ?? 0), 0)
  const problem =
    failed ??
    (isReady ? undefined : `replica ${member.id} was not ready after ${readyMillis / 1000} s`) ??
    (yield* comeBack(context, member, startInDoubt(context, member), upTo))
  const isShown = first !== undefined && second !== undefined && lost > 0
  const proof = isShown
    ? `${second}; ${lost} entries of its own that were acknowledged since are not in the copy`
    : undefined
  return windowOf("old folder", [member], proof, problem)
})

/** Starts a replica that lost something, waits until it has got it back, and looks meanwhile whether it votes. */
const comeBack = (
  context: Context,
  member: Member,
  started: Effect.Effect<string | undefined>,
  upTo: ReadonlyMap<string, number>
): Effect.Effect<string | undefined> => {
  const back = Effect.flatMap(started, (failed) =>
    failed === undefined ? restored(context, member, upTo) : Effect.succeed(failed)
  )
  return Recovering.during(context, member, back)
}

/** Waits until a replica that lost something votes again and holds what was acknowledged before. */
const restored = (
  { client }: Context,
  member: Member,
  upTo: ReadonlyMap<string, number>
): Effect.Effect<string | undefined> =>
  within(
    readyMillis,
    Effect.gen(function* () {
      const { vector } = yield* client.status(member)
      return Compare.missing(vector, upTo).length === 0 && (yield* client.isReady(member))
    }).pipe(Effect.orElseSucceed(() => false))
  ).pipe(
    Effect.map((is) =>
      is ? undefined : `Liveness: replica ${member.id} has not got back what it lost after ${readyMillis / 1000} s`
    )
  )

const runs = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Whether the system says so; where it does not tell, that no answer came has to do. */
const isStopped = (pid: number): boolean => {
  const path = `/proc/${pid}/stat`
  return !existsSync(path) || /^\d+ \(.*\) T/.test(readFileSync(path, "utf8"))
}

const sizeOf = (folder: string): number => {
  const file = logFiles.map((name) => join(folder, name)).find((file) => existsSync(file))
  return file === undefined ? 0 : statSync(file).size
}
