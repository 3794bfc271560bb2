/**
 * The part that overwrites: what compaction costs those who write meanwhile, and how large the files are when all is at rest.
 */
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"
import * as Bench from "../Bench.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"

const name = "compaction"

/** How long a set has to have erased nothing before its files are measured. */
const quietMillis = 15_000

const stores = ["sqlite", "lmdb"] as const

/** What each is called where systems are chosen. */
const systems = { sqlite: "ws", lmdb: "ws-lmdb" } as const

/** Each store with compaction and without it, one after the other, in every round. */
export const compaction: Part = {
  name,
  description:
    "ws at 256 writers overwrites 100,000 keys ten million times, with compaction and without: writes, and files at rest",
  run: Effect.fnUntraced(function* (settings) {
    const run = {
      writers: Parts.writers,
      warmup: settings.quick ? 1 : 3,
      seconds: 1200,
      commits: Parts.commits(settings, 10_000_000),
      valueBytes: 128,
      keys: settings.quick ? Parts.keys / 100 : Parts.keys,
      everyMillis: settings.quick ? 50 : 1000
    }
    const samples: Array<Bench.Measured> = []
    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 1); round++) {
      for (const store of stores) {
        if (settings.only?.includes(systems[store]) === false) continue
        const speeds: Record<string, number> = {}
        for (const compactionShare of [0, undefined]) {
          const system = compactionShare === 0 ? `${store}-uncompacted` : store
          const found = yield* Effect.scoped(
            Effect.gen(function* () {
              const folder = yield* Bench.folder
              const replicas = yield* Replicas.make({ ...Replicas.usual, store, folder, compactionShare })
              const child = yield* Replicas.startAll(replicas)
              const sample = yield* child.measure(run)
              yield* Replicas.rest(replicas)
              const restSeconds = compactionShare === 0 ? 0 : yield* compacted(replicas)
              const { liveBytes } = yield* child.status
              const files = yield* Effect.promise(() => sizeOf(replicas[0]!.folder))
              return { sample, liveBytes, files, restSeconds }
            })
          )
          const measured = { system, writers: run.writers, round, ...found.sample }
          samples.push(measured)
          yield* settings.say(Bench.line(measured))
          const { files, liveBytes, restSeconds } = found
          speeds[system] = found.sample.writesPerSecond
          figures.push({ name: `${system}: files at rest`, unit: "MiB", value: files / 2 ** 20, round })
          if (compactionShare === 0) continue
          figures.push(
            { name: `${system}: live entries`, unit: "MiB", value: liveBytes / 2 ** 20, round },
            { name: `${system}: files at rest of live entries`, unit: "share", value: files / liveBytes, round },
            { name: `${system}: until all was compacted`, unit: "s", value: restSeconds, round },
            {
              name: `${system}: writes of those without compaction`,
              unit: "share",
              value: speeds[store]! / speeds[`${store}-uncompacted`]!,
              round
            }
          )
        }
      }
    }
    return { part: name, parameters: { ...run, quietMillis }, against: "sqlite-uncompacted", samples, figures }
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/** Waits until no replica has erased anything for a while. Returns how many seconds passed before. */
const compacted = Effect.fnUntraced(function* (replicas: ReadonlyArray<Replicas.Replica>) {
  const children = yield* Effect.all(replicas.map(({ running }) => running))
  const begin = performance.now()
  let before = ""
  let since = begin
  while (performance.now() - since < quietMillis) {
    const statuses = yield* Effect.all(children.map(({ status }) => status))
    const now = JSON.stringify(statuses.map(({ compactions }) => compactions))
    if (now !== before || statuses.some(({ isCompacting }) => isCompacting)) since = performance.now()
    before = now
    yield* Effect.sleep(250)
  }
  return (since - begin) / 1000
})

const sizeOf = async (folder: string): Promise<number> => {
  let bytes = 0
  for (const file of await readdir(folder)) {
    const { blocks } = await stat(join(folder, file))
    bytes += blocks * 512
  }
  return bytes
}
