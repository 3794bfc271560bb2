/**
 * The part in which one peer is down during a million commits: what it costs, and whether memory stays flat.
 */
import { Effect } from "effect"
import * as Bench from "../Bench.ts"
import * as Course from "../Course.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"

const name = "peer-down"
const allUp = "all peers up"

/** With all peers up, and with one down, on fresh replicas each. */
export const peerDown: Part = {
  name,
  description: "a million commits at 256 writers with one peer down: memory, lag, and throughput against all up",
  run: Effect.fnUntraced(function* (settings) {
    const run = {
      writers: Parts.writers,
      warmup: settings.quick ? 1 : 3,
      seconds: 600,
      commits: Parts.commits(settings, 1_000_000),
      valueBytes: 128,
      keys: Parts.keys,
      everyMillis: settings.quick ? 50 : 250
    }
    const measure = Effect.fnUntraced(function* (down: boolean, round: number) {
      const replicas = yield* Replicas.make({ ...Replicas.usual, folder: yield* Bench.folder })
      const child = yield* Replicas.startAll(replicas)
      if (down) {
        // It was there, and goes.
        yield* child.measure({ ...run, warmup: 0, commits: 1000 })
        yield* Replicas.rest(replicas)
        yield* replicas[2]!.stop
      }
      const system = down ? "one peer down" : allUp
      const found = { system, writers: run.writers, round, ...(yield* child.measure(run)) }
      yield* settings.say(Bench.line(found))
      return found
    }, Effect.scoped)

    const samples: Array<Bench.Measured> = []
    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 3); round++) {
      const first = yield* measure(round % 2 === 0, round)
      const second = yield* measure(round % 2 === 1, round)
      const [up, down] = round % 2 === 1 ? [first, second] : [second, first]
      samples.push(up, down)
      const { max, min } = Course.memoryRange(down.points)
      figures.push(
        {
          name: "throughput of that with all up",
          unit: "share",
          value: down.writesPerSecond / up.writesPerSecond,
          round
        },
        { name: "memory after the first fifth, lowest", unit: "MiB", value: min, round },
        { name: "memory after the first fifth, highest", unit: "MiB", value: max, round },
        { name: "memory, half its range", unit: "MiB", value: (max - min) / 2, round },
        { name: "lag at the end", unit: "entries", value: down.points.at(-1)?.lag ?? Number.NaN, round }
      )
    }
    return { part: name, parameters: run, against: allUp, samples, figures }
  })
}
