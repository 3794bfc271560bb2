/**
 * The parts that start replicas: on empty folders, on grown ones, and without the record index.
 */
import { join } from "node:path"
import { Effect, FileSystem, type PlatformError, type Scope } from "effect"
import * as Bench from "../Bench.ts"
import type * as Child from "../Child.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"

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

/** A part that finds figures of a fresh replica set in every round. */
const part = (
  name: string,
  description: string,
  oneRound: (
    replicas: ReadonlyArray<Replicas.Replica>,
    commits: number
  ) => Effect.Effect<
    ReadonlyArray<Omit<Figure, "round">>,
    Child.ProcessFailed | PlatformError.PlatformError,
    FileSystem.FileSystem | Scope.Scope
  >
): Part => ({
  name,
  description,
  run: Effect.fnUntraced(function* (settings) {
    const commits = Parts.commits(settings, 1_000_000)
    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 3); round++) {
      const replicas = Effect.flatMap(Bench.folder, (folder) => Replicas.make({ ...Replicas.usual, folder }))
      const found = yield* Effect.scoped(Effect.flatMap(replicas, (replicas) => oneRound(replicas, commits)))
      figures.push(...found.map((figure) => ({ ...figure, round })))
      const values = found.map(({ name, unit, value }) => `${name} ${value.toFixed(2)} ${unit}`)
      yield* settings.say(`round ${round}: ${values.join(", ")}`)
    }
    return { part: name, parameters: { ...load, commits }, against: "", samples: [], figures }
  })
})

/** Time from the start of three processes to the first commit. */
export const start = part(
  "start",
  "from the start of three processes to the first commit: on empty folders, and with a million entries",
  Effect.fnUntraced(function* (replicas, commits) {
    const empty = yield* timed(firstCommit(replicas))
    yield* grow(replicas, commits)
    const grown = yield* timed(firstCommit(replicas))
    return [
      { name: "to the first commit, empty", unit: "s", value: empty },
      { name: "to the first commit, grown", unit: "s", value: grown }
    ]
  })
)

/** The record index, built again from the logs. */
export const rebuild = part(
  "rebuild",
  "a replica with a million entries starts without its record index: until the index is complete",
  Effect.fnUntraced(function* (replicas, commits) {
    const fs = yield* FileSystem.FileSystem
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
    return [
      { name: "entries", unit: "entries", value: held },
      { name: "start with the index", unit: "s", value: intact },
      { name: "start without the index, until it is complete", unit: "s", value: missing },
      { name: "rebuild, start of the process included", unit: "entries/s", value: held / missing }
    ]
  })
)
