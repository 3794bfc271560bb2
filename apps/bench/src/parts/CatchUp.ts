/**
 * The parts in which a replica was away: how fast it catches up, or joins when it comes back with an empty disk, while
 * commits go on, and what these notice of it.
 */
import { rm } from "node:fs/promises"
import { Effect, Fiber } from "effect"
import * as Bench from "../Bench.ts"
import * as Course from "../Course.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"

const calm = "before"

/** How often the returning replica is asked what it holds, in milliseconds. */
const lookMillis = 50

/** Who lags by what is written in so many seconds has caught up. */
const nearlySeconds = 0.1

/** How a replica was away. */
interface Absence {
  readonly name: string
  readonly description: string
  /** How many entries it lacks when it comes back, on a usual run. */
  readonly missed: number
  readonly keys: number
  /** Whether its disk is empty then. */
  readonly wiped: boolean
  /** How long writes are made while it catches up, on a usual run. */
  readonly longestSeconds: number
  readonly rounds: number
}

/** Before, while one replica is away, and while it catches up. */
const part = ({ description, keys, longestSeconds, missed: usualMissed, name, rounds, wiped }: Absence): Part => ({
  name,
  description,
  run: Effect.fnUntraced(function* (settings) {
    const run = { writers: Parts.writers, valueBytes: 128, keys, everyMillis: 100 }
    const missed = Parts.commits(settings, usualMissed)
    const seconds = Parts.seconds(settings, 5)
    const longest = settings.quick ? 15 : longestSeconds

    const oneRound = Effect.fnUntraced(function* (round: number) {
      const replicas = yield* Replicas.make({ ...Replicas.usual, folder: yield* Bench.folder })
      const [, , third] = replicas
      const child = yield* Replicas.startAll(replicas)
      const keep = (system: string, sample: Bench.Measured) => {
        const found = { ...sample, system }
        return Effect.as(settings.say(Bench.line(found)), found)
      }
      const measure = (warmup: number, options: { readonly seconds: number; readonly commits?: number }) =>
        Effect.map(child.measure({ ...run, warmup, ...options }), (sample) => ({
          ...sample,
          system: "",
          writers: run.writers,
          round
        }))
      const before = yield* keep(calm, yield* measure(settings.quick ? 1 : 3, { seconds }))
      yield* Replicas.rest(replicas)

      yield* third!.stop
      const away = yield* keep("one away", yield* measure(0, { seconds: 600, commits: missed }))
      yield* Replicas.rest(replicas.slice(0, 2))

      if (wiped) yield* Effect.promise(() => rm(third!.folder, { recursive: true }))
      const head = (yield* child.status).held
      // No warm-up: every write is counted, so that what was written is known at every moment.
      const live = yield* Effect.forkScoped(measure(0, { seconds: longest }))
      const returned = yield* third!.start
      const seen: Array<Course.Held> = []
      while (live.pollUnsafe() === undefined) {
        seen.push(yield* returned.status)
        yield* Effect.sleep(lookMillis)
      }
      const during = yield* keep(`during ${name}`, yield* Fiber.join(live))
      const restSeconds = yield* Replicas.rest(replicas)

      const course = Course.catchUp(seen, during.points, head, nearlySeconds * during.writesPerSecond)
      const p99Before = Course.medianP99(before.points)
      const figure = (name: string, unit: string, value: number): Figure => ({ name, unit, value, round })
      const figures = [
        figure(name, "entries/s", course.entriesPerSecond),
        figure("commits meanwhile", "writes/s", course.writesPerSecond),
        figure(`${name} against commits before`, "times", course.entriesPerSecond / before.writesPerSecond),
        figure(`${name} against commits meanwhile`, "times", course.entriesPerSecond / course.writesPerSecond),
        figure("commits meanwhile, of those before", "share", course.writesPerSecond / before.writesPerSecond),
        figure("p99 of 0.1 s before, median", "ms", p99Before),
        figure("p99 of 0.1 s meanwhile, median", "ms", course.p99),
        figure(`${name} took`, "s", course.seconds),
        figure("entries still missed then", "entries", course.missing),
        figure("at rest after the end of the load", "s", restSeconds)
      ]
      if (!course.done) yield* settings.say(`round ${round}: not caught up after ${course.seconds.toFixed(1)} s`)
      return { samples: [before, away, during], figures }
    }, Effect.scoped)

    const outcomes = []
    for (let round = 1; round <= Parts.rounds(settings, rounds); round++) outcomes.push(yield* oneRound(round))
    return {
      part: name,
      parameters: { ...run, missed, seconds, longest },
      against: calm,
      samples: outcomes.flatMap(({ samples }) => samples),
      figures: outcomes.flatMap(({ figures }) => figures)
    }
  })
})

/** A replica was stopped, and starts again on its own disk. */
export const catchUp = part({
  name: "catch-up",
  description: "a replica that missed 300,000 entries: entries/s while 256 writers commit, and what they notice of it",
  missed: 300_000,
  keys: Parts.keys,
  wiped: false,
  longestSeconds: 20,
  rounds: 3
})

/** A replica comes back with an empty disk to a set of a million records and more. */
export const join = part({
  name: "join",
  description: "a replica with an empty disk joins a set of 1,000,000 records: records/s while 256 writers commit",
  missed: 1_000_000,
  // So many that hardly any is written twice.
  keys: 1e9,
  wiped: true,
  longestSeconds: 60,
  rounds: 1
})
