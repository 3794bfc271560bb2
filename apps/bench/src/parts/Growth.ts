/**
 * The part that fills a log: is it as fast at its end as at its begin?
 */
import { Effect } from "effect"
import * as Bench from "../Bench.ts"
import * as Course from "../Course.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"

const name = "growth"

/** The share of all commits that is one slice. */
const slicesOfAll = 20

/** One long measurement a round. */
export const growth: Part = {
  name,
  description: "ws at 256 writers while the log grows from empty to five million entries, in slices of 250,000",
  run: Effect.fnUntraced(function* (settings) {
    const commits = Parts.commits(settings, 5_000_000)
    const slice = commits / slicesOfAll
    const run = {
      writers: Parts.writers,
      warmup: settings.quick ? 1 : 3,
      seconds: 1200,
      commits,
      valueBytes: 128,
      keys: Parts.keys,
      everyMillis: settings.quick ? 50 : 250
    }
    const samples: Array<Bench.Measured> = []
    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 1); round++) {
      const sample = yield* Effect.scoped(
        Effect.gen(function* () {
          const replicas = yield* Replicas.make({ ...Replicas.usual, folder: yield* Bench.folder })
          const child = yield* Replicas.startAll(replicas)
          return yield* child.measure(run)
        })
      )
      const found = { system: "ws", writers: run.writers, round, ...sample }
      samples.push(found)
      yield* settings.say(Bench.line(found))
      const slices = Course.slices(sample.points, slice).map(({ writesPerSecond }) => writesPerSecond)
      const first = slices[0] ?? Number.NaN
      // Not the last one there is: a log that did not get to its length says nothing about it.
      const last = slices[slicesOfAll - 1] ?? Number.NaN
      figures.push(
        { name: "first slice", unit: "writes/s", value: first, round },
        { name: "slowest slice", unit: "writes/s", value: Math.min(...slices), round },
        { name: "last slice", unit: "writes/s", value: last, round },
        { name: "last slice of the first", unit: "share", value: last / first, round },
        { name: "index delay, highest", unit: "entries", value: Course.highestDelay(sample.points), round }
      )
    }
    return { part: name, parameters: { ...run, slice }, against: name, samples, figures }
  })
}
