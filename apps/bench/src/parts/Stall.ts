/**
 * The part in which a disk stands still for a second: what the replica that commits notices of it, when it is a peer's and
 * when it is its own.
 */
import { Effect, Fiber } from "effect"
import * as Bench from "../Bench.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"
import { stall as ask, stallMillis } from "../StallingDisk.ts"

const name = "stall"
const calm = "none"

/** Whose disk stands still, by the place of the replica in the set. */
const cases = [
  { system: calm, whose: undefined },
  { system: "a peer's", whose: 1 },
  { system: "its own", whose: 0 }
] as const

/** No disk, that of a peer, and that of the replica that commits. */
export const stall: Part = {
  name,
  description: "ws at 256 writers while no disk, a peer's or the own one stands still for a second",
  run: Effect.fnUntraced(function* (settings) {
    const seconds = Parts.seconds(settings, 5)
    const run = { writers: Parts.writers, valueBytes: 128, keys: Parts.keys, seconds, everyMillis: 100 }
    const samples: Array<Bench.Measured> = []
    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 3); round++) {
      const found = yield* Effect.scoped(
        Effect.gen(function* () {
          const replicas = yield* Replicas.make({ ...Replicas.usual, folder: yield* Bench.folder, stalls: true })
          const child = yield* Replicas.startAll(replicas)
          yield* child.measure({ ...run, warmup: 0, seconds: Parts.rehearsal(settings) })
          const each: Array<Bench.Measured> = []
          for (const { system, whose } of cases) {
            const running = yield* Effect.forkChild(child.measure({ ...run, warmup: 0 }))
            if (whose !== undefined) {
              const { pid } = yield* replicas[whose]!.running
              yield* Effect.andThen(Effect.sleep((seconds * 1000) / 3), ask(pid))
            }
            const measured = { system, writers: run.writers, round, ...(yield* Fiber.join(running)) }
            yield* settings.say(Bench.line(measured))
            yield* Replicas.rest(replicas)
            each.push(measured)
          }
          return each
        })
      )
      samples.push(...found)
      for (const { heldMost, points, system } of found) {
        const steps = points.slice(1).map(({ writes }, i) => writes - points[i]!.writes)
        const still = steps.filter((writes) => writes === 0).length * run.everyMillis
        figures.push(
          { name: `${system}: loop held, at most`, unit: "ms", value: heldMost, round },
          { name: `${system}: no write was answered for`, unit: "ms", value: still, round }
        )
      }
    }
    return { part: name, parameters: { ...run, stallMillis }, against: calm, samples, figures }
  })
}
