/**
 * The soak: replicas under load while they are killed, paused, wiped, set back and given wrong clocks; and then
 * everything that was promised is looked at.
 */
import type { Records } from "@quorum/core"
import { Progress, Text } from "@quorum/server/tools"
import { Clock, Effect, Fiber, Option, Stream } from "effect"
import * as Client from "../Client.ts"
import * as DemoSet from "../DemoSet.ts"
import * as Compare from "../Compare.ts"
import type { Store } from "../ReplicaConfig.ts"
import * as Checks from "./Checks.ts"
import * as Clocks from "./Clocks.ts"
import * as Faults from "./Faults.ts"
import * as FakeTime from "./FakeTime.ts"
import * as History from "./History.ts"
import * as Logs from "./Logs.ts"
import * as Memory from "./Memory.ts"
import * as Random from "./Random.ts"
import * as Recovering from "./Recovering.ts"
import * as Workload from "./Workload.ts"

/** What is run, and for how long. */
export interface Options extends Omit<DemoSet.Options, "env"> {
  readonly seed: number
  readonly minutes: number
  readonly writers: number
  readonly store: Store
  /** The faults that happen. */
  readonly faults: ReadonlyArray<Fault>
}

/** Everything that may happen. */
export const faults = [...Faults.kinds, "clock"] as const

/** Something that may happen. */
export type Fault = (typeof faults)[number]

/** What was seen. */
export interface Outcome {
  /** Empty when everything held. */
  readonly problems: ReadonlyArray<string>
  /** The report for a person. */
  readonly lines: ReadonlyArray<string>
}

/** Runs it. */
export const run = Effect.fnUntraced(function* (options: Options) {
  const { say } = yield* Progress.Progress
  const kinds = Faults.kinds.filter((kind) => options.faults.includes(kind))
  const hasClocks = options.faults.includes("clock")
  const fakeTime = hasClocks ? FakeTime.make(options.folder) : undefined
  const env = fakeTime === undefined ? {} : { env: fakeTime.env }
  const set = yield* DemoSet.make({ ...options, ...env })
  for (const { id } of set.members) fakeTime?.set(id, 0)
  const client = yield* Client.make(set.members)
  const load = Workload.make()
  const random = Random.make(options.seed)
  const ended = new Set<number>()
  const windows: Array<Faults.Window> = []
  const jumps: Array<Clocks.Jump> = []
  const far = Random.pick(Random.make(options.seed + 2), set.members).id

  yield* Effect.forEach(set.members, set.start, { concurrency: "unbounded", discard: true })
  const problems: Array<string> = []
  if (!(yield* Faults.allReady({ client, set }))) problems.push("Liveness: the replicas were not ready at the start")
  if (hasClocks && fakeTime === undefined)
    yield* say("  no clock jumps: libfaketime (Debian's package faketime) is not installed")
  const memory = yield* Memory.watch(set)
  const startedAt = yield* Clock.currentTimeMillis

  const writers = yield* Effect.forkScoped(Workload.run({ ...options, set, client, load }))
  const clocks =
    fakeTime === undefined
      ? undefined
      : yield* Effect.forkScoped(
          Clocks.jump({
            set,
            fakeTime,
            far,
            random: Random.make(options.seed + 1),
            onJump: (jump) => jumps.push(jump)
          })
        )
  const progress = yield* Effect.forkScoped(
    Effect.forever(
      Effect.andThen(
        Effect.sleep(tellMillis),
        Effect.suspend(() => say(told(startedAt)))
      )
    )
  )
  const told = (since: number): string => progressLine(Date.now() - since, load, windows, jumps)

  const endsAt = startedAt + options.minutes * 60_000
  for (let i = 0; (yield* Clock.currentTimeMillis) < endsAt || i < kinds.length; i++) {
    const kind = kinds[i] ?? Random.pick(random, kinds)
    const window = yield* Faults.happen({ set, client, load, random, ended }, kind)
    windows.push(window)
    if (window.proof === undefined)
      problems.push(`a fault cannot be shown to have happened: ${kind} of ${window.members.join(", ")}`)
    if (window.problem !== undefined) problems.push(window.problem)
    yield* Effect.sleep(300 + random(1500))
  }
  if (clocks !== undefined) yield* Fiber.interrupt(clocks)
  load.isOver = true
  yield* Fiber.join(writers)
  yield* Fiber.interrupt(progress)
  const lastedMillis = (yield* Clock.currentTimeMillis) - startedAt
  yield* say(progressLine(lastedMillis, load, windows, jumps))

  const compared = yield* compare({ set, client, load, name: options.name, store: options.store, ended, far })
  problems.push(...compared.problems)
  fakeTime?.sweep(ended)
  problems.push(...set.crashes().map((crash) => `a replica ended by itself: ${crash}`))
  if (fakeTime !== undefined && !jumps.some(({ isShown }) => isShown)) problems.push("no clock was seen to jump")
  const thirds = set.members.map((member) => ({
    id: member.id,
    of: Memory.thirds(memory.get(member)!, lastedMillis)
  }))
  problems.push(...thirds.flatMap(({ id, of }) => growthOf(id, of, options.minutes)))
  return {
    problems,
    lines: summary({ ...options, load, windows, jumps, thirds, problems, lastedMillis, erased: compared.erased })
  } satisfies Outcome
})

// ---------------------------------------------------------------------------------------------------------------------

const tellMillis = 15_000

/** How long the replicas may make no progress in catching up. */
const stallMillis = 60_000

/** How many times a promise that was broken is told. */
const toldOfEach = 3

/** Waits until the replicas hold the same, and looks at what they show and at what lies on their disks. */
const compare = Effect.fnUntraced(function* ({
  client,
  set,
  ended,
  far,
  load,
  name,
  store
}: {
  readonly set: DemoSet.DemoSet
  readonly client: Client.Client
  readonly load: Workload.Load
  readonly name: string
  readonly store: Store
  readonly ended: Set<number>
  /** Whose clock may have been far off: the others have no reason to follow it. */
  readonly far: string
}) {
  const { say } = yield* Progress.Progress
  const problems: Array<string> = []
  if (!(yield* Faults.allReady({ client, set }))) problems.push("Liveness: not every replica is ready after the faults")
  yield* say("Waiting until all replicas hold the same, and reading it")
  const vector = yield* Compare.awaitSameLogs({ set, client, stallMillis, onProgress: () => Effect.void })
  if (Option.isNone(vector)) problems.push("Convergence: the replicas hold different logs, and make no progress")
  const contents = yield* Effect.forEach(set.members, (member) =>
    Effect.gen(function* () {
      const page = new Map<string, { readonly writeId: string; readonly operation: number | undefined }>()
      const records = Stream.tap(client.records(member), ({ key, namespace, value, writeId }) =>
        Effect.sync(() => page.set(`${namespace}/${key}`, { writeId, operation: History.operationOf(value) }))
      )
      const { digest, wrong } = yield* Compare.content(records, new Map())
      problems.push(...wrong.slice(0, toldOfEach).map((each) => `Convergence: ${member.id}: ${each}`))
      return { id: member.id as string, page, digest }
    }).pipe(
      Effect.catch((error) => {
        problems.push(`Convergence: ${error.message}`)
        return Effect.succeed({ id: member.id as string, page: new Map(), digest: member.id as string })
      })
    )
  )
  const clocks = yield* Effect.forEach(
    set.members.filter(({ id }) => id !== far),
    (member) =>
      Effect.match(client.status(member), {
        onSuccess: ({ clock }) => [{ at: member.id as string, wallTime: clock.wallTime, now: Date.now() }],
        onFailure: ({ message }) => {
          problems.push(`BoundedClocks: ${message}`)
          return []
        }
      })
  )
  if (new Set(contents.map(({ digest }) => digest)).size > 1)
    problems.push("Convergence: the replicas show different records")

  for (const member of set.alive()) ended.add(set.killUnsafe(member))
  yield* Effect.forEach(set.members, set.gone, { discard: true })
  const logs = Logs.none()
  for (const member of set.members) {
    const read = Logs.read({ cluster: name, members: set.members, store }, member, logs)
    const unreadable = (detail: string) => [`AckedIsDurable: the disk of ${member.id} cannot be read: ${detail}`]
    problems.push(...(yield* Effect.catch(read, ({ message }) => Effect.succeed(unreadable(message)))))
  }
  const { operations, wrong } = load.history
  yield* say(`Looking at ${Text.number(operations.length)} operations and at what lies on the disks`)
  problems.push(...wrong)
  const pages = new Map(contents.map(({ id, page }) => [id, page]))
  for (const [promise, check] of Object.entries(Checks.checks)) {
    const broken = check({ operations, logs, pages, clocks: clocks.flat(), recovering: load.recovering })
    problems.push(...broken.slice(0, toldOfEach).map((each) => `${promise}: ${each}`))
    if (broken.length > toldOfEach) problems.push(`${promise}: and ${broken.length - toldOfEach} more`)
  }
  const erased = set.members.map(({ id }) => ({ id, writes: Logs.erasedBy(logs, id) }))
  return { problems, erased }
})

type Thirds = ReturnType<typeof Memory.thirds>

/** A run of a few minutes warms up for a third of it. */
const growthOf = (id: string, of: Thirds, minutes: number): ReadonlyArray<string> =>
  of === undefined || minutes < 5 || of.last <= of.first * 1.25 + 30
    ? []
    : [
        `Bounded: replica ${id} held ${of.first.toFixed(0)} MB in the first third, and ${of.last.toFixed(0)} MB in the last`
      ]

const countsOf = (kinds: ReadonlyArray<string>): string =>
  Array.from(
    Map.groupBy(kinds, (kind) => kind),
    ([kind, all]) => `${kind} ${all.length}`
  ).join(", ")

const progressLine = (
  millis: number,
  load: Workload.Load,
  windows: ReadonlyArray<Faults.Window>,
  jumps: ReadonlyArray<Clocks.Jump>
): string => {
  const at = `${Math.floor(millis / 60_000)}:${String(Math.floor(millis / 1000) % 60).padStart(2, "0")}`
  const rate = Math.round(load.acknowledged / Math.max(1, millis / 1000))
  return (
    `  ${at.padStart(5)}  ${Text.number(load.acknowledged)} acknowledged (${rate}/s), ${Text.number(load.reads)} reads, ` +
    `${load.notMet} not met, ${load.nothing} not written, ${load.unknown} unknown; ${countsOf(windows.map(({ kind }) => kind))}` +
    `${jumps.length > 0 ? `, clock ${jumps.length}` : ""}`
  )
}

const jumpsText = (jumps: ReadonlyArray<Clocks.Jump>): string => {
  const shown = jumps.filter(({ isShown }) => isShown)
  const away = shown.map(({ seconds }) => seconds).sort((a, b) => a - b)
  return `${shown.length} jumps seen in answers (${jumps.length - shown.length} not), by ${countsOf(away.map((each) => `${each} s`))}`
}

const summary = (of: {
  readonly seed: number
  readonly transport: string
  readonly store: Store
  readonly writers: number
  readonly load: Workload.Load
  readonly windows: ReadonlyArray<Faults.Window>
  readonly jumps: ReadonlyArray<Clocks.Jump>
  readonly thirds: ReadonlyArray<{ readonly id: string; readonly of: Thirds }>
  readonly problems: ReadonlyArray<string>
  readonly lastedMillis: number
  readonly erased: ReadonlyArray<{ readonly id: string; readonly writes: number }>
}): ReadonlyArray<string> => {
  const { jumps, load, problems, windows } = of
  const { operations } = load.history
  const readsOf = (asked: Records.Consistency): string =>
    Text.number(operations.filter(({ consistency, outcome }) => outcome === "read" && consistency === asked).length)
  const row = (label: string, text: string) => `  ${label.padEnd(14)}${text}`
  const shown = windows.filter(({ proof }) => proof !== undefined)
  const examples = Faults.kinds.flatMap((kind) => shown.find((window) => window.kind === kind) ?? [])
  return [
    "",
    row(
      "ran",
      `${(of.lastedMillis / 60_000).toFixed(1)} minutes over ${of.transport} on ${of.store}, ${of.writers} writers, seed ${of.seed}`
    ),
    row(
      "writes",
      `${Text.number(load.acknowledged)} acknowledged, ${Text.number(load.unknown)} of unknown outcome, ${Text.number(load.nothing)} not written`
    ),
    row(
      "",
      `${Text.number(operations.filter(({ again }) => again.length > 0).length)} have two receipts of one stamp, ` +
        `${Text.number(operations.filter(({ entry, id }) => entry < id).length)} are of two keys`
    ),
    row("", `${Text.number(load.notMet)} times the quorum was not met in time and was waited for again`),
    row(
      "reads",
      `${Text.number(load.reads)}, ` +
        (["linearizable", "quorum"] as const).map((each) => `${readsOf(each)} ${each}`).join(", ")
    ),
    row(
      "faults",
      `${countsOf(windows.map(({ kind }) => kind))}; ${shown.length} of ${windows.length} shown to have happened`
    ),
    ...examples.map(({ kind, members, proof }) => row("", `${kind} ${members.join(", ")}: ${proof}`)),
    row(
      "recovering",
      `${load.recovering.length} times a replica was seen not to vote, and was sent ` +
        `${Recovering.asked(load.history.operations, load.recovering)} requests meanwhile`
    ),
    row("clocks", jumps.length === 0 ? "none jumped" : jumpsText(jumps)),
    ...of.thirds.map(({ id, of: mb }) =>
      row(
        "memory",
        mb === undefined
          ? `${id}: not seen long enough`
          : `${id}: ${mb.first.toFixed(0)} MB in the first third, ${mb.last.toFixed(0)} MB in the last`
      )
    ),
    row("erased", of.erased.map(({ id, writes }) => `${id}: ${Text.number(writes)} superseded writes`).join(", ")),
    row("checked", `${Object.keys(Checks.checks).join(", ")}, Convergence, Bounded`),
    "",
    ...(problems.length === 0
      ? ["Everything held."]
      : [`It did not hold (seed ${of.seed}):`, ...problems.map((problem) => `  - ${problem}`)])
  ]
}
