/**
 * The parts that start replicas: on empty folders, on grown ones, and without the record index.
 */
import { join } from "node:path"
import { Effect, FileSystem } from "effect"
import * as Bench from "../Bench.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"

/** The names of the parts. */
const names = { rebuild: "rebuild", start: "start" }

const load = { writers: Parts.writers, warmup: 0, seconds: 600, valueBytes: 128, keys: Parts.keys }

/** Commits so many entries, waits until all replicas have them, and stops them. */
const grow = Effect.fnUntraced(function* (replicas: ReadonlyArray<Replicas.Replica>, commits: number) {
  const [first] = replicas
  const child = yield* first!.running
  yield* child.measure({ ...load, commits })
  yield* Replicas.rest(replicas)
  for (const { stop } of replicas) yield* stop
})

/** How long something takes, in seconds. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const begin = performance.now()
    return Effect.map(effect, () => (performance.now() - begin) / 1000)
  })

/** Starts all replicas at once and makes one commit. */
const firstCommit = Effect.fnUntraced(function* (replicas: ReadonlyArray<Replicas.Replica>) {
  const [child] = yield* Effect.all(
    replicas.map(({ start }) => start),
    { concurrency: "unbounded" }
  )
  yield* child!.measure({ ...load, writers: 1, seconds: 60, commits: 1 })
})

/** Time from the start of three processes to the first commit. */
export const start: Part = {
  name: names.start,
  description: "from the start of three processes to the first commit: on empty folders, and with a million entries",
  run: Effect.fnUntraced(function* (settings) {
    const commits = Parts.commits(settings, 1_000_000)
    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 3); round++) {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const replicas = yield* Replicas.make({ ...Replicas.usual, folder: yield* Bench.folder })
          const empty = yield* timed(firstCommit(replicas))
          yield* grow(replicas, commits)
          const grown = yield* timed(firstCommit(replicas))
          figures.push(
            { name: "to the first commit, empty", unit: "s", value: empty, round },
            { name: "to the first commit, grown", unit: "s", value: grown, round }
          )
          yield* settings.say(`round ${round}, first commit: ${empty.toFixed(2)} s empty, ${grown.toFixed(2)} s grown`)
        })
      )
    }
    return { part: names.start, parameters: { ...load, commits }, against: "", samples: [], figures }
  })
}

/** The record index, built again from the logs. */
export const rebuild: Part = {
  name: names.rebuild,
  description: "a replica with a million entries starts without its record index: until the index is complete",
  run: Effect.fnUntraced(function* (settings) {
    const fs = yield* FileSystem.FileSystem
    const commits = Parts.commits(settings, 1_000_000)
    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 3); round++) {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const replicas = yield* Replicas.make({ ...Replicas.usual, folder: yield* Bench.folder })
          yield* Replicas.startAll(replicas)
          yield* grow(replicas, commits)
          const first = replicas[0]!
          const startAndRest = Effect.andThen(first.start, Replicas.rest([first]))

          const intact = yield* timed(startAndRest)
          yield* first.stop
          for (const suffix of ["", "-wal", "-shm"]) {
            yield* fs.remove(join(first.folder, `index.db${suffix}`), { force: true })
          }
          const missing = yield* timed(startAndRest)
          const { held } = yield* Effect.flatMap(first.running, ({ status }) => status)
          figures.push(
            { name: "entries", unit: "entries", value: held, round },
            { name: "start with the index", unit: "s", value: intact, round },
            { name: "start without the index, until it is complete", unit: "s", value: missing, round },
            { name: "rebuild, start of the process included", unit: "entries/s", value: held / missing, round }
          )
          yield* settings.say(`round ${round}, rebuild of ${held} entries: ${missing.toFixed(2)} s`)
        })
      )
    }
    return { part: names.rebuild, parameters: { ...load, commits }, against: "", samples: [], figures }
  })
}
