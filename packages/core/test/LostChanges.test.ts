/** Readers of changes that have seen what no member has any more. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Changes, Entry } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"

const put = (key: string) => Entry.put("n", key, "v")

const settled = TestClock.adjust(5000)

/** Three replicas, and where a reader is that saw an entry which only `a` has: it was acknowledged by `a` alone. */
const seenAtOne = Effect.gen(function* () {
  const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
  yield* a.writer.commit(put("k"))
  yield* settled
  for (const [from, to] of ["ab", "ac", "ba", "ca"].map((link) => [...link])) cluster.cut(from!, to!)
  yield* a.writer.commit(put("lost"), { w: 1 })
  const pages = yield* Stream.runCollect(a.records.changes({ until: "now" }))
  const since = pages.at(-1)!.position
  yield* a.stop
  return { b, c, cluster, since }
})

/** What a reader that goes on is told in the time of some heartbeats. */
const told = ({ records }: Cluster.Running, since: Changes.Vector) =>
  Effect.gen(function* () {
    const reading = yield* Effect.forkChild(Effect.result(Stream.runDrain(records.changes({ since }))))
    yield* settled
    const end = reading.pollUnsafe()
    yield* Fiber.interrupt(reading)
    return end === undefined ? "waits" : yield* Effect.flatMap(end, Effect.fromResult).pipe(Effect.flip)
  })

describe("a reader of changes that has seen what is not here", () => {
  it.effect("is told so once all members vote and none has it, and where to go on from", () =>
    Effect.gen(function* () {
      const { b, cluster, since } = yield* seenAtOne
      cluster.wipe("a")
      cluster.heal()
      const reading = yield* Effect.forkChild(Effect.result(Stream.runDrain(b.records.changes({ since }))))
      yield* cluster.start("a")
      yield* settled
      const end = yield* Fiber.join(reading)
      assert(Result.isFailure(end) && end.failure._tag === "ChangesForgotten")
      const position = yield* Schema.decodeEffect(Changes.Position)(end.failure.position)
      yield* b.writer.commit(put("later"))
      assert.deepStrictEqual(yield* Cluster.changesOf(b, position), ["later=v"])
    })
  )

  it.effect("waits while a member is away that may have it, or may have taken it", () =>
    Effect.gen(function* () {
      const { b, c, cluster, since } = yield* seenAtOne
      cluster.heal()
      assert.strictEqual(yield* told(b, since), "waits")
      cluster.wipe("a")
      yield* c.stop
      yield* cluster.start("a")
      assert.strictEqual(yield* told(b, since), "waits")
    })
  )

  it.effect("waits for its member, and goes on when that is back with it, in another life too", () =>
    Effect.gen(function* () {
      const { b, cluster, since } = yield* seenAtOne
      cluster.heal()
      // As after a boot of its machine: it goes on with another log, and has what it had.
      yield* (yield* cluster.storeOf("a")).renew()
      cluster.cut("a", "b")
      cluster.cut("b", "a")
      yield* cluster.start("a")
      // Of that life `b` has heard from `c` alone.
      assert.strictEqual(yield* told(b, since), "waits")
      cluster.heal()
      assert.strictEqual(yield* told(b, since), "waits")
      assert.sameMembers(yield* Cluster.changesOf(b), ["k=v", "lost=v"])
    })
  )
})
