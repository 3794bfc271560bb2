/** Reads that ask several replicas, and replicas that miss what others hold. */
import { assert } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type Records } from "../../src/index.ts"
import * as Cluster from "./cluster.ts"
import { text } from "./text.ts"

/** Runs a read that needs no time to speak of, but many turns. */
export const soon = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    for (let i = 0; i < 40 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust(1)
    assert.isDefined(fiber.pollUnsafe())
    return yield* Fiber.join(fiber)
  })

export const put = (value: string) => Entry.put("n", "k", value)

export const ask = (replica: Cluster.Running, consistency: Records.Consistency, options: Records.ReadOptions = {}) =>
  Effect.map(replica.records.read("n", "k", { ...options, consistency }), text)

/** What `from` pushes does not get to `to`, though all else between them works. */
export const withoutPushes = (cluster: Effect.Success<ReturnType<typeof Cluster.make>>, from: string, to: string) =>
  cluster.faults.set(`${from}>${to}`, (client) => ({ ...client, push: () => Effect.never }))

/** `c` holds nothing of what `a` writes and `b` acks: nothing is pushed to it, and it has to fetch what it misses. */
export const behind = Effect.gen(function* () {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  withoutPushes(cluster, "a", "c")
  withoutPushes(cluster, "b", "c")
  const [a, b, c] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
  yield* TestClock.adjust(1000)
  cluster.cut("c", "a")
  yield* TestClock.adjust(5000)
  return { cluster, a, b, c }
})
