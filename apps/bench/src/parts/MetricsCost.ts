/**
 * The part that says what metrics cost: the same replicas with and without, in short turns, by the processor time of all
 * of them per commit. Throughput would show it too, and whatever else the machine does far more.
 */
import { Effect, Fiber } from "effect"
import * as Bench from "../Bench.ts"
import type { Child } from "../Child.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"
import { confidence } from "../Statistics.ts"

/** What the goal is about. */
export const upperEnd = "with metrics, of that without: the upper end of its 95 % interval"

const scrapes = 200

/** How long a turn may take, in seconds. */
const longest = 60

/** With and without, the one that comes first in every other round. */
export const metricsCost: Part = {
  name: "metrics",
  description: "processor time per commit with @quorum/metrics and without, in turns, at 256 writers; and of a scrape",
  run: Effect.fnUntraced(function* (settings) {
    const run = { writers: Parts.writers, warmup: 0, valueBytes: 128, keys: Parts.keys }
    const commits = Parts.commits(settings, 40_000)
    const rounds = Parts.rounds(settings, 60)
    const nodeFlags = settings.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${settings.profile}`]
    const replicas = yield* Replicas.make({ ...Replicas.usual, folder: yield* Bench.folder, nodeFlags })
    const committing = yield* Replicas.startAll(replicas)
    const children = yield* Effect.all(replicas.map(({ running }) => running))
    yield* committing.measure({ ...run, commits: commits * 5, seconds: longest })

    const turn = Effect.fnUntraced(function* (on: boolean) {
      yield* Effect.forEach(children, (child) => child.setMetrics(on), { discard: true })
      yield* Replicas.rest(replicas)
      const before = yield* spent(children)
      const scraping = yield* Effect.forkChild(on ? Effect.forever(everySecond(replicas)) : Effect.never)
      yield* committing.measure({ ...run, commits, seconds: longest })
      yield* Fiber.interrupt(scraping)
      yield* Replicas.rest(replicas)
      const after = yield* spent(children)
      return (after.cpuMicros - before.cpuMicros) / (after.commits - before.commits)
    })

    const found: Array<{ readonly without: number; readonly with: number }> = []
    for (let round = 1; round <= rounds; round++) {
      // Four turns, so that what grows while they last hits both alike.
      const order = round % 2 === 0 ? [true, false, false, true] : [false, true, true, false]
      const turns = yield* Effect.forEach(order, (on) => Effect.map(turn(on), (micros) => ({ on, micros })))
      const mean = (wanted: boolean) => turns.reduce((sum, { micros, on }) => sum + (on === wanted ? micros : 0), 0) / 2
      const pair = { without: mean(false), with: mean(true) }
      found.push(pair)
      yield* settings.say(
        `round ${round}: ${pair.without.toFixed(2)} µs per commit without, ${pair.with.toFixed(2)} with metrics`
      )
    }
    yield* committing.setMetrics(true)
    const scrape = yield* costOfScrapes(replicas[0]!, committing)

    const figure = (name: string, unit: string, value: number, round = 1): Figure => ({ name, unit, value, round })
    const ratios = found.map((pair) => pair.with / pair.without)
    const { high, low, median } = confidence(ratios)
    const figures = [
      ...found.flatMap((pair, i) => [
        figure("without metrics, all replicas, per commit", "µs", pair.without, i + 1),
        figure("with metrics, all replicas, per commit", "µs", pair.with, i + 1)
      ]),
      figure("with metrics, of that without: median of the rounds", "times", median),
      figure("with metrics, of that without: the lower end of its 95 % interval", "times", low),
      figure(upperEnd, "times", high),
      figure("one scrape of one replica, its processor time", "µs", scrape.micros),
      figure("what one scrape answers", "bytes", scrape.bytes)
    ]
    return { part: "metrics", parameters: { ...run, commits, rounds }, against: "", samples: [], figures }
  }, Effect.scoped)
}

// ---------------------------------------------------------------------------------------------------------------------

/** Processor time of all replicas until now, and what the first has committed. */
const spent = (children: ReadonlyArray<Child>) =>
  Effect.map(Effect.all(children.map(({ status }) => status)), (statuses) => ({
    cpuMicros: statuses.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0),
    commits: statuses[0]!.held
  }))

const scraped = (url: string) => Effect.promise(() => fetch(`${url}/metrics`).then((answer) => answer.text()))

/** Reads the metrics of every replica, more often than most Prometheus do. */
const everySecond = (replicas: ReadonlyArray<Replicas.Replica>) =>
  Effect.andThen(
    Effect.forEach(replicas, ({ url }) => scraped(url), { discard: true }),
    Effect.sleep(1000)
  )

/** What the replica that answers spends on a scrape, beside what it spends at rest. */
const costOfScrapes = Effect.fnUntraced(function* ({ url }: Replicas.Replica, child: Child) {
  yield* Effect.repeat(scraped(url), { times: scrapes })
  const before = yield* child.status
  yield* Effect.repeat(scraped(url), { times: scrapes - 1 })
  const after = yield* child.status
  const { length } = yield* scraped(url)
  return { micros: (after.cpuMicros - before.cpuMicros) / scrapes, bytes: length }
})
