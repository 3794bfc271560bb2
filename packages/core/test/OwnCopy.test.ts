/** RecoveringDoesNotVote: what a writer is told of the copy of a replica that has ceased to vote. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Stream } from "effect"
import type { ReplicaStore } from "../src/adapter.ts"
import { Entry, type Receipt } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during, pass } from "./support/time.ts"

const put = (value: string) => Entry.put("n", "k", value)

/** Three replicas, of which the first has one write, and says from a time on that it is damaged. */
const damageable = Effect.fnUntraced(function* (w: number) {
  const cluster = yield* Cluster.make(["a", "b", "c"], w)
  const { steps: _, ...store } = yield* cluster.storeOf("a")
  let ranges: ReadonlyArray<ReplicaStore.DamagedRange> = []
  const disk = Latch.makeUnsafe(true)
  const append: typeof store.append = (batch) => Effect.andThen(disk.await, store.append(batch))
  cluster.stores.set("a", { ...store, append, damaged: () => ranges })
  const [a, b, c] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
  yield* pass(2000)
  yield* during(a.writer.commit(put("1")), 100)
  const damage = Effect.gen(function* () {
    ranges = [{ log: a.logs.own, from: 1, to: 1 }]
    // Any read finds it.
    yield* a.logs.chainAt(a.logs.own, 1)
    assert.isFalse(a.membership.isVoting())
  })
  return { a, b, c, cluster, damage, disk }
})

describe("the copy of a replica that has ceased to vote", () => {
  it.effect("is not counted for a write that was being appended then", () =>
    Effect.gen(function* () {
      const { a, damage, disk } = yield* damageable(2)
      disk.closeUnsafe()
      const fiber = yield* Effect.forkChild(a.writer.commit(put("2")))
      yield* pass(100)
      yield* damage
      disk.openUnsafe()
      yield* pass(1000)
      const { acked, missing } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        acked.map(({ replica }) => replica),
        ["b", "c"].map(Cluster.id)
      )
      assert.strictEqual(missing[a.id]?._tag, "lagging")
    })
  )

  it.effect("is no holder of a write that is followed, and who acks after it was given up is late", () =>
    Effect.gen(function* () {
      const { a, cluster, damage } = yield* damageable(3)
      for (const peer of ["a", "b"]) {
        cluster.cut(peer, "c")
        cluster.cut("c", peer)
      }
      const steps: Array<Receipt.Progress> = []
      const follow = Stream.runForEach(a.writer.progress(put("2")), (step) => Effect.sync(() => void steps.push(step)))
      const fiber = yield* Effect.forkChild(follow)
      yield* pass(100)
      yield* damage
      yield* pass(100)
      cluster.heal()
      yield* pass(5000)
      const held = steps.find((step) => step._tag === "Held")
      if (held === undefined) return assert.fail("nobody acked it")
      assert.deepStrictEqual([held.replica, held.late], [Cluster.id("c"), true])
      assert.deepInclude({ ...held.status }, { committed: false, holders: ["b", "c"].map(Cluster.id) })
      assert.deepStrictEqual(held.status, yield* a.writer.status(held.status.writeId))
      yield* Fiber.interrupt(fiber)
      // Nobody waits any more for what was given up.
      yield* during(a.stop, 100)
    })
  )
})
