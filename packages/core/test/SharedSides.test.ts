/**
 * What a member says that it holds while it recovers, and others may fetch from it: nothing that only it holds, on a side of
 * a fork, or of the log of a member whose disk was put back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "./support/cluster.ts"
import { put, remove, rounds, test, valueOf } from "./support/deletes.ts"
import { copyOf } from "./support/stores.ts"
import { during } from "./support/time.ts"

const replica = { awayAfter: "1 minute" } as const

describe("what a member that recovers says that it holds", () => {
  it.effect("NoResurrection: is no side of a fork that no voting member holds, however long theirs is", () =>
    test(
      Effect.gen(function* () {
        const cluster = yield* Cluster.make([..."abcd"], 3)
        const [a, b, c, d] = yield* Effect.forEach([..."abcd"], (id) => cluster.start(id, { replica }))
        yield* TestClock.adjust(1000)
        yield* c!.writer.commit(put("old"))
        yield* TestClock.adjust(20_000)
        const older = yield* copyOf(yield* cluster.storeOf("c"))
        for (const key of ["x", "y", "z"]) yield* c!.writer.commit(put(key))
        yield* TestClock.adjust(5000)
        yield* during(c!.stop, 5000)
        cluster.stores.set("c", older)
        for (const other of ["a", "b", "d"]) {
          cluster.cut("c", other)
          cluster.cut(other, "c")
        }
        const back = yield* cluster.start("c", { replica })
        yield* TestClock.adjust(1000)
        yield* during(back.writer.commit(put("k", "side"), { w: 1 }), 5000)
        assert.strictEqual(back.logs.own, c!.logs.own)
        yield* during(back.stop, 5000)
        cluster.heal()
        yield* during(a!.writer.commit(put("k", "later")), 5000)
        yield* during(b!.writer.commit(remove("k")), 5000)
        yield* TestClock.adjust(90_000)
        for (let i = 0; i < 4; i++) yield* rounds(a!, b!, d!)
        yield* during(a!.writer.commit(put("more")), 5000)
        yield* during(d!.stop, 5000)
        cluster.wipe("d")
        // c is slow to be compared, and d hears c before the others.
        for (const other of ["a", "b"]) {
          cluster.faults.set(`c>${other}`, (client) => ({ ...client, pull: () => Effect.never }))
          cluster.cut("d", other)
          cluster.cut(other, "d")
        }
        const again = yield* cluster.start("c", { replica })
        const other = yield* cluster.start("d", { replica })
        yield* TestClock.adjust(4000)
        cluster.faults.clear()
        cluster.heal()
        yield* TestClock.adjust(60_000)
        for (const one of [a!, b!, again, other]) {
          assert.isTrue(one.status().voting)
          assert.isUndefined(yield* valueOf(one, "k"))
          assert.strictEqual(yield* valueOf(one, "z"), "v")
        }
      })
    )
  )

  it.effect("NoResurrection: is no more of the log of a member than that had, where its disk was put back", () =>
    test(
      Effect.gen(function* () {
        const cluster = yield* Cluster.make([..."abcd"], 3)
        const [a, b, c, d] = yield* Effect.forEach([..."abcd"], (id) => cluster.start(id, { replica }))
        yield* TestClock.adjust(1000)
        yield* a!.writer.commit(put("old"))
        yield* TestClock.adjust(20_000)
        const older = yield* copyOf(yield* cluster.storeOf("a"))
        for (const one of ["b", "d"]) {
          for (const other of ["a", "c"]) {
            cluster.cut(one, other)
            cluster.cut(other, one)
          }
        }
        yield* during(a!.writer.commit(put("k", "lost"), { w: 2 }), 1000)
        assert.strictEqual(c!.logs.head(a!.logs.own).seq, 2)
        yield* during(c!.stop, 5000)
        yield* during(a!.stop, 5000)
        cluster.stores.set("a", older)
        cluster.heal()
        const back = yield* cluster.start("a", { replica })
        yield* TestClock.adjust(1000)
        assert.strictEqual(back.logs.own, a!.logs.own)
        assert.isTrue(back.status().voting)
        yield* during(b!.writer.commit(put("k", "later")), 5000)
        yield* during(b!.writer.commit(remove("k")), 5000)
        yield* TestClock.adjust(90_000)
        for (let i = 0; i < 4; i++) yield* rounds(back, b!, d!)
        yield* during(b!.writer.commit(put("more")), 5000)
        yield* TestClock.adjust(5000)
        cluster.cut("c", "a")
        cluster.cut("a", "c")
        const again = yield* cluster.start("c", { replica })
        yield* TestClock.adjust(10_000)
        cluster.heal()
        yield* TestClock.adjust(60_000)
        for (const one of [back, b!, again, d!]) {
          assert.isTrue(one.status().voting)
          assert.isUndefined(yield* valueOf(one, "k"))
        }
        const [given] = again.status().givenUp
        assert.deepStrictEqual([given?.because, given?.log], ["away", a!.logs.own])
      })
    )
  )

  for (const longer of ["theirs", "its own"]) {
    it.effect(`NoResurrection: is no side of a fork that was begun before theirs, where ${longer} is longer`, () =>
      test(
        Effect.gen(function* () {
          const cluster = yield* Cluster.make([..."abc"], 2)
          const [a, b, c] = yield* Effect.forEach([..."abc"], (id) => cluster.start(id, { replica }))
          yield* TestClock.adjust(1000)
          yield* c!.writer.commit(put("old"))
          yield* TestClock.adjust(20_000)
          yield* during(c!.stop, 5000)
          const first = yield* cluster.storeOf("c")
          const copy = yield* copyOf(first)
          for (const other of ["a", "b"]) {
            cluster.cut("c", other)
            cluster.cut(other, "c")
          }
          cluster.stores.set("c", copy)
          const side = yield* cluster.start("c", { replica })
          yield* TestClock.adjust(1000)
          const sideKeys = longer === "theirs" ? ["k"] : ["k", "l", "m", "n"]
          for (const key of sideKeys) yield* during(side.writer.commit(put(key, "side"), { w: 1 }), 1000)
          yield* during(side.stop, 5000)
          cluster.heal()
          cluster.stores.set("c", first)
          const theirs = yield* cluster.start("c", { replica })
          yield* TestClock.adjust(2000)
          for (const key of ["x", "y"]) yield* during(theirs.writer.commit(put(key)), 1000)
          assert.deepStrictEqual([side.logs.own, theirs.logs.own], [c!.logs.own, c!.logs.own])
          yield* TestClock.adjust(5000)
          yield* during(theirs.stop, 5000)
          cluster.stores.set("c", copy)
          yield* during(a!.writer.commit(put("k", "later")), 5000)
          yield* during(b!.writer.commit(remove("k")), 5000)
          yield* TestClock.adjust(90_000)
          for (let i = 0; i < 4; i++) yield* rounds(a!, b!)
          yield* during(a!.writer.commit(put("more")), 5000)
          const again = yield* cluster.start("c", { replica })
          yield* TestClock.adjust(60_000)
          for (const one of [a!, b!, again]) {
            assert.isTrue(one.status().voting)
            for (const peer of one.status().peers) assert.deepStrictEqual(peer.drifted, [])
            assert.isUndefined(yield* valueOf(one, "k"))
            assert.strictEqual(yield* valueOf(one, "y"), "v")
          }
        })
      )
    )
  }
})
