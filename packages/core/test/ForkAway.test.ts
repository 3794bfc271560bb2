/** A side of a fork that a member held alone while the others went on without it, and have forgotten deletes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "./support/cluster.ts"
import { put, remove, rounds, test, valueOf } from "./support/deletes.ts"
import { copyOf } from "./support/stores.ts"
import { during } from "./support/time.ts"

const replica = { awayAfter: "1 minute" } as const

describe("a side of a fork that only a member had that was away", () => {
  it.effect("NoResurrection: is not committed again where its keys may have been deleted later", () =>
    test(
      Effect.gen(function* () {
        const cluster = yield* Cluster.make([..."abc"], 2)
        const [a, b, c] = yield* Effect.forEach([..."abc"], (id) => cluster.start(id, { replica }))
        yield* TestClock.adjust(1000)
        yield* c!.writer.commit(put("old"))
        yield* TestClock.adjust(20_000)
        const older = yield* copyOf(yield* cluster.storeOf("c"))
        yield* c!.writer.commit(put("y"))
        yield* TestClock.adjust(5000)
        yield* during(c!.stop, 5000)
        cluster.stores.set("c", older)
        for (const other of ["a", "b"]) {
          cluster.cut("c", other)
          cluster.cut(other, "c")
        }
        const back = yield* cluster.start("c", { replica })
        yield* TestClock.adjust(1000)
        for (const key of ["k", "old"]) yield* during(back.writer.commit(put(key, "side"), { w: 1 }), 5000)
        assert.strictEqual(back.logs.own, c!.logs.own)
        yield* during(back.stop, 5000)
        cluster.heal()
        yield* during(a!.writer.commit(put("k", "later")), 5000)
        yield* during(b!.writer.commit(remove("k")), 5000)
        yield* TestClock.adjust(90_000)
        for (let i = 0; i < 4; i++) yield* rounds(a!, b!)
        yield* during(a!.writer.commit(put("more")), 5000)
        const again = yield* cluster.start("c", { replica })
        yield* TestClock.adjust(10_000)
        for (const one of [a!, b!, again]) {
          assert.isTrue(one.status().voting)
          for (const peer of one.status().peers) assert.deepStrictEqual(peer.drifted, [])
          assert.isUndefined(yield* valueOf(one, "k"))
          assert.strictEqual(yield* valueOf(one, "old"), "side")
          assert.strictEqual(yield* valueOf(one, "y"), "v")
        }
        const [given] = again.status().givenUp
        assert.deepStrictEqual(
          given?.dropped?.keys.map(({ key }) => key),
          ["k"]
        )
      })
    )
  )

  it.effect("NoResurrection: brings back nothing that was before the fork and is erased elsewhere", () =>
    test(
      Effect.gen(function* () {
        const cluster = yield* Cluster.make([..."abc"], 2)
        const [a, b, c] = yield* Effect.forEach([..."abc"], (id) => cluster.start(id, { replica }))
        yield* TestClock.adjust(1000)
        for (const key of ["k", "old"]) yield* c!.writer.commit(put(key))
        yield* TestClock.adjust(5000)
        const older = yield* copyOf(yield* cluster.storeOf("c"))
        yield* b!.writer.commit(remove("k"))
        yield* c!.writer.commit(put("y"))
        yield* TestClock.adjust(20_000)
        for (let i = 0; i < 4; i++) yield* rounds(a!, b!, c!)
        yield* during(c!.stop, 5000)
        cluster.stores.set("c", older)
        for (const other of ["a", "b"]) {
          cluster.cut("c", other)
          cluster.cut(other, "c")
        }
        const back = yield* cluster.start("c", { replica })
        yield* TestClock.adjust(1000)
        yield* during(back.writer.commit(put("x", "side"), { w: 1 }), 5000)
        assert.strictEqual(back.logs.own, c!.logs.own)
        cluster.heal()
        yield* TestClock.adjust(20_000)
        for (const one of [a!, b!, back]) {
          assert.isTrue(one.status().voting)
          for (const peer of one.status().peers) assert.deepStrictEqual(peer.drifted, [])
          assert.strictEqual(yield* valueOf(one, "y"), "v")
          assert.strictEqual(yield* valueOf(one, "x"), "side")
          assert.isUndefined(yield* valueOf(one, "k"))
        }
      })
    )
  )
})
