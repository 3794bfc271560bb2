/**
 * The part that says what metrics and traces cost: the same replicas with and without, in short turns while the load goes on, by
 * the processor time of all of them per commit. Throughput would show it too, and whatever else the machine does far
 * more.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect } from "effect"
import * as Bench from "../Bench.ts"
import * as Child from "../Child.ts"
import type { Run } from "../ClosedLoop.ts"
import { paths, type Spent } from "../MetricsSwitch.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"
import { confidence, spread } from "../Statistics.ts"

/** What the goal is about. */
export const upperEnd = "what metrics add there, of a commit's cost over ws: the upper end of its 95 % interval"

/** What the goal of traces is about. */
export const upperEndOfTraces = "what metrics and traces add there, of it: the upper end of its 95 % interval"

/** With and without, the one that comes first in every other round. */
export const metricsCost: Part = {
  name: "metrics",
  description:
    "processor time per commit with metrics, and with traces, and without, in turns, at 256 writers; and of a scrape",
  run: Effect.fnUntraced(function* (settings) {
    const run = { writers: Parts.writers, warmup: 0, valueBytes: 128, keys }
    const seconds = Parts.seconds(settings, 1)
    const rounds = Parts.rounds(settings, 60)
    const say = (where: string) => (round: number, pair: Pair) =>
      settings.say(
        `${where}, round ${round}: ${pair.without.toFixed(2)} µs per commit without, ${pair.with.toFixed(2)} with`
      )
    // Nothing waits for a disk or a socket here, so batches are as large with as without, and far less is left to chance.
    const [alone, traced] = yield* Effect.scoped(
      Effect.gen(function* () {
        const { traces, url } = yield* collector
        const core = yield* Child.start("core", { collector: url })
        const measured = (recorded: Run["recorded"]) =>
          inTurns(
            rounds,
            (on) =>
              Effect.map(
                core.measure({ ...run, recorded: on ? recorded : undefined, warmup: 0.1, seconds }),
                ({ cpuMicros }) => cpuMicros
              ),
            say(`core alone, ${recorded}`)
          )
        for (const recorded of ["metrics and traces", "metrics", undefined] as const) {
          const seconds = settings.quick ? 1 : 5
          yield* core.measure({ ...run, recorded, seconds })
        }
        const found = [yield* measured("metrics"), yield* measured("metrics and traces")] as const
        if (traces() === 0) return yield* Effect.die("no spans were sent, so what traces cost was not measured")
        return found
      })
    )

    const warmup = settings.quick ? 1 : 20
    const nodeFlags = settings.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${settings.profile}`]
    const replicas = yield* Replicas.make({
      ...Replicas.usual,
      index: "memory",
      folder: yield* Bench.folder,
      nodeFlags
    })
    const committing = yield* Replicas.startAll(replicas)
    const longest = warmup + rounds * 4 * (seconds + 1) * 2
    yield* Effect.forkScoped(committing.measure({ ...run, seconds: longest }))
    yield* Effect.sleep(warmup * 1000)

    const turn = Effect.fnUntraced(function* (on: boolean) {
      yield* Effect.forEach(replicas, ({ url }) => post(url + (on ? paths.on : paths.off)), { discard: true })
      yield* Effect.sleep(settleMillis)
      const before = yield* spent(replicas)
      if (on) yield* Effect.forEach(replicas, ({ url }) => scraped(url), { discard: true })
      yield* Effect.sleep(seconds * 1000)
      const after = yield* spent(replicas)
      return (after.cpuMicros - before.cpuMicros) / (after.commits - before.commits)
    })

    const overWs = yield* inTurns(rounds, turn, say("ws"))
    const scrape = yield* costOfScrapes(replicas[2]!)
    return {
      part: "metrics",
      parameters: { ...run, seconds, rounds },
      against: "",
      samples: [],
      figures: figuresOf(overWs, alone, traced, scrape)
    }
  }, Effect.scoped)
}

// ---------------------------------------------------------------------------------------------------------------------

/** So few, and the record index in memory, that its merges, which come every few seconds, do not hide what is measured. */
const keys = 1000

/** Processor time of all replicas per commit, in microseconds. */
interface Pair {
  readonly without: number
  readonly with: number
}

/** Takes turns with and without, and says what was found, round by round. */
const inTurns = Effect.fnUntraced(function* <E>(
  rounds: number,
  turn: (on: boolean) => Effect.Effect<number, E>,
  say: (round: number, pair: Pair) => Effect.Effect<void>
) {
  const found: Array<Pair> = []
  for (let round = 1; round <= rounds; round++) {
    // Four turns, so that what grows while they last hits both alike.
    const order = round % 2 === 0 ? [true, false, false, true] : [false, true, true, false]
    const turns = yield* Effect.forEach(order, (on) => Effect.map(turn(on), (micros) => ({ on, micros })))
    const mean = (wanted: boolean) => turns.reduce((sum, { micros, on }) => sum + (on === wanted ? micros : 0), 0) / 2
    const pair = { without: mean(false), with: mean(true) }
    found.push(pair)
    yield* say(round, pair)
  }
  return found
})

/** Takes whatever is sent, as a collector does, and keeps nothing but how often spans came. */
const collector = Effect.gen(function* () {
  let traces = 0
  const server = createServer((request, response) => {
    if (request.url === "/v1/traces") traces++
    request.resume().on("end", () => response.setHeader("content-type", "application/json").end("{}"))
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, traces: () => traces }
})

/** How long a turn goes on before it is measured, in milliseconds. */
const settleMillis = 100

const scrapes = 200

const post = (url: string) => Effect.promise(() => fetch(url, { method: "POST" }))
const scraped = (url: string) => Effect.promise(() => fetch(`${url}/metrics`).then((answer) => answer.text()))
const spentBy = ({ url }: Replicas.Replica) =>
  Effect.promise(() => fetch(url + paths.spent).then((answer) => answer.json() as Promise<Spent>))

/** What all replicas have spent until now, and what the first has committed. */
const spent = (replicas: ReadonlyArray<Replicas.Replica>) =>
  Effect.map(Effect.all(replicas.map(spentBy)), (all) => ({
    cpuMicros: all.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0),
    commits: all[0]!.commits
  }))

/** What a replica spends on a scrape: with many of them, beyond what it spends meanwhile on the load without. */
const costOfScrapes = Effect.fnUntraced(function* (replica: Replicas.Replica) {
  yield* post(replica.url + paths.on)
  const during = <A>(effect: Effect.Effect<A>) =>
    Effect.gen(function* () {
      const [before, began] = [yield* spentBy(replica), performance.now()]
      yield* effect
      return { micros: (yield* spentBy(replica)).cpuMicros - before.cpuMicros, millis: performance.now() - began }
    })
  const without = yield* during(Effect.sleep(2000))
  const scraping = yield* during(Effect.repeat(scraped(replica.url), { times: scrapes - 1 }))
  const { length } = yield* scraped(replica.url)
  const micros = (scraping.micros - (without.micros / without.millis) * scraping.millis) / scrapes
  return { micros, bytes: length }
})

const figuresOf = (
  overWs: ReadonlyArray<Pair>,
  alone: ReadonlyArray<Pair>,
  traced: ReadonlyArray<Pair>,
  scrape: { readonly micros: number; readonly bytes: number }
): ReadonlyArray<Figure> => {
  const figure = (name: string, unit: string, value: number, round = 1): Figure => ({ name, unit, value, round })
  const ofPairs = (where: string, found: ReadonlyArray<Pair>, what = "metrics") => {
    const { high, low, median } = confidence(found.map((pair) => pair.with / pair.without))
    return [
      ...found.flatMap((pair, i) => [
        figure(`${where}: per commit, without ${what}`, "µs", pair.without, i + 1),
        figure(`${where}: per commit, with ${what}`, "µs", pair.with, i + 1)
      ]),
      figure(`${where}, ${what}: with, of without, median of the rounds`, "times", median),
      figure(`${where}, ${what}: with, of without, lower end of its 95 % interval`, "times", low),
      figure(`${where}, ${what}: with, of without, upper end of its 95 % interval`, "times", high)
    ]
  }
  const addedOf = (found: ReadonlyArray<Pair>) => confidence(found.map((pair) => pair.with - pair.without))
  const [added, addedByTraces] = [addedOf(alone), addedOf(traced)]
  const whole = spread(overWs.map(({ without }) => without)).median
  return [
    ...ofPairs("ws", overWs),
    ...ofPairs("core alone", alone),
    ...ofPairs("core alone", traced, "metrics and traces"),
    figure("what metrics add there, of a commit's cost over ws", "times", added.median / whole),
    figure(upperEnd, "times", added.high / whole),
    figure("what metrics and traces add there, of a commit's cost over ws", "times", addedByTraces.median / whole),
    figure(upperEndOfTraces, "times", addedByTraces.high / whole),
    figure("one scrape of one replica, its processor time", "µs", scrape.micros),
    figure("what one scrape answers", "bytes", scrape.bytes)
  ]
}
