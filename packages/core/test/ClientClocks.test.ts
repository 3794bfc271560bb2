/** Clocks that clients bring, in stamps and receipts, to members whose own clocks are wrong, or were. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Entry } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"
import * as Wall from "./support/wall.ts"

const hour = 3_600_000
const day = 24 * hour
const today = 1_700_000_000_000
const put = (value: string, key = "k") => Entry.put("n", key, value)

/** Replicas that each have a wall clock of their own, ahead by so much. */
const start = Effect.fnUntraced(function* (ids: string, ahead: Readonly<Record<string, number>> = {}) {
  yield* TestClock.setTime(today)
  const w = Math.floor(ids.length / 2) + 1
  const cluster = yield* Cluster.make([...ids], w)
  const policy = Cluster.policy(ids.length, w, { order: "real-time" })
  const walls = new Map<string, Wall.Wall>()
  const up = Effect.fnUntraced(function* (id: string) {
    const wall = yield* Wall.make(ahead[id] ?? 0)
    walls.set(id, wall)
    return yield* Wall.by(wall)(cluster.start(id, { policy }))
  })
  const replicas = yield* Effect.forEach([...ids], up)
  yield* TestClock.adjust(2000)
  /** Sets the clocks of some, and has all measure them. */
  const set = (which: string, millis: number) => {
    for (const id of which) walls.get(id)!.set(millis)
    return TestClock.adjust(6000)
  }
  return { cluster, replicas, set, up }
})

/** What was drawn at one replica is written at another, and what comes after a receipt of the one too. */
const writesOf = Effect.fnUntraced(function* (from: Cluster.Running, to: Cluster.Running, key = "k") {
  const stamp = yield* during(from.writer.stamp({ namespace: "n", key }), 20)
  yield* during(to.writer.commit(put("stamped", key), { stamp }), 1000)
  const { clock } = yield* during(from.writer.commit(put("first", key)), 20)
  yield* during(to.writer.commit(put("second", key), { after: clock }), 1000)
})

describe("clocks that clients bring", () => {
  it.effect("L51 are taken by who has drawn them, also when the clocks were ahead by a day and are set right", () =>
    Effect.gen(function* () {
      for (const ids of ["a", "ab", "abc"]) {
        const { replicas, set } = yield* start(ids)
        yield* set(ids, day)
        yield* during(replicas[0]!.writer.commit(put("ahead")), 1000)
        yield* set(ids, 0)
        for (const replica of replicas) yield* writesOf(replica, replica)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("L51 are taken by both of two members of which one's clock has fallen behind by an hour", () =>
    Effect.gen(function* () {
      const { replicas, set } = yield* start("ab")
      yield* during(replicas[0]!.writer.commit(put("right")), 1000)
      yield* set("b", -hour)
      for (const from of replicas) for (const to of replicas) yield* writesOf(from, to)
    })
  )

  it.effect("L51 of a member that is held back are taken by those at the other side of the middle", () =>
    Effect.gen(function* () {
      // The middle is the clock of c: a is held a minute ahead of it, and b a minute behind.
      const { replicas } = yield* start("abc", { a: 365 * day, b: -365 * day })
      for (const from of replicas) for (const to of replicas) yield* writesOf(from, to)
    })
  )

  it.effect("L51 are taken by one that has lost its disk since the clocks were set right, when it has asked", () =>
    Effect.gen(function* () {
      const { cluster, replicas, set, up } = yield* start("abc")
      yield* set("abc", day)
      yield* during(replicas[0]!.writer.commit(put("ahead")), 1000)
      yield* set("abc", 0)
      yield* replicas[2]!.stop
      cluster.wipe("c")
      const c = yield* up("c")
      yield* TestClock.adjust(30_000)
      for (const from of [c, replicas[0]!]) yield* writesOf(from, c, `of ${from.id}`)
      assert.isBelow(c.logs.clock().wallTime, today + hour, "it has followed nobody")
    })
  )

  it.effect("L51 are taken for a key that was stamped far ahead, and for no other", () =>
    Effect.gen(function* () {
      const { replicas } = yield* start("abc")
      const [a, b] = replicas as [Cluster.Running, Cluster.Running]
      const far = { wallTime: today + 3650 * day, logical: 7 }
      yield* a.logs.appendWrites([put("far")], () => ({ after: far, unprobed: true }))
      yield* TestClock.adjust(2000)
      for (const from of [a, b]) for (const to of [a, b]) yield* writesOf(from, to)
      const elsewhere = Entry.put("n", "other", "v")
      assert.strictEqual((yield* failure(a.writer.commit(elsewhere, { after: far }), "WriteRejected")).field, "after")
      assert.isBelow(a.logs.clock().wallTime, today + hour)
    })
  )

  it.effect("BoundedClocks: that are made up move a clock that was ahead no further than writes do", () =>
    Effect.gen(function* () {
      const { replicas, set } = yield* start("a")
      const a = replicas[0]!
      yield* set("a", day)
      const { clock } = yield* a.writer.commit(put("ahead"))
      yield* set("a", 0)
      const most = { wallTime: clock.wallTime, logical: clock.logical + 2 ** 20 }
      for (const after of [
        { wallTime: most.wallTime, logical: most.logical + 1 },
        { wallTime: most.wallTime + 1, logical: 0 }
      ]) {
        assert.strictEqual((yield* failure(a.writer.commit(put("v"), { after }), "WriteRejected")).field, "after")
      }
      const receipt = yield* a.writer.commit(put("v"), { after: most })
      assert.deepStrictEqual(receipt.clock, { wallTime: most.wallTime, logical: most.logical + 1 })
    })
  )
})
