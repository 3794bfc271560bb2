/** A member that is away too long: a majority marks it, the others go on without it, and it comes back as one that recovers. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "./support/cluster.ts"
import { put, remove, rounds, test, valueOf } from "./support/deletes.ts"

/** A member is away too long after a minute. */
const replica = { awayAfter: "1 minute" } as const

const running = Effect.fnUntraced(function* (ids: string, w: number) {
  const cluster = yield* Cluster.make([...ids], w)
  const replicas = yield* Effect.forEach([...ids], (id) => cluster.start(id, { replica }))
  yield* TestClock.adjust(1000)
  return { cluster, replicas, a: replicas[0]!, b: replicas[1]!, c: replicas[2]! }
})

const awayAt = ({ status }: Cluster.Running) =>
  status()
    .peers.filter(({ away }) => away !== null)
    .map(({ away, replica }) => `${replica} ${away}`)

describe("a member that is away too long", () => {
  it.effect("holds nothing back any more once a majority has marked it, and brings back nothing that was deleted", () =>
    test(
      Effect.gen(function* () {
        const { a, b, c, cluster } = yield* running("abc", 2)
        for (const key of ["k", "old"]) yield* a.writer.commit(put(key))
        yield* TestClock.adjust(20_000)
        for (const link of ["a", "b"]) {
          cluster.cut("c", link)
          cluster.cut(link, "c")
        }
        for (const key of ["k", "old", "new"]) yield* c.writer.commit(put(key, "tail"), { w: 1 })
        yield* c.stop
        cluster.heal()
        yield* a.writer.commit(put("k", "later"))
        yield* b.writer.commit(remove("k"))
        yield* TestClock.adjust(30_000)
        for (const one of [a, b]) assert.deepStrictEqual(awayAt(one), [])
        const held = a.status().stableTime
        assert.include(held.heldBackBy, c.id)
        yield* TestClock.adjust(60_000)
        for (const one of [a, b]) assert.deepStrictEqual(awayAt(one), ["c left_out"])
        assert.notInclude(a.status().stableTime.heldBackBy, c.id)
        assert.isAbove(a.status().stableTime.clock.wallTime, held.clock.wallTime)
        for (let i = 0; i < 4; i++) yield* rounds(a, b)
        yield* a.writer.commit(put("more"))
        const again = yield* cluster.start("c", { replica })
        yield* TestClock.adjust(10_000)
        assert.isTrue(again.status().voting)
        for (let i = 0; i < 4; i++) yield* rounds(a, b, again)
        for (const one of [a, b, again]) {
          assert.deepStrictEqual(awayAt(one), [])
          assert.isUndefined(yield* valueOf(one, "k"))
          assert.isUndefined(yield* valueOf(one, "new"))
          assert.strictEqual(yield* valueOf(one, "old"), "tail")
          assert.strictEqual(yield* valueOf(one, "more"), "v")
        }
        const [given] = again.status().givenUp
        assert.deepStrictEqual(
          given?.dropped?.keys.map(({ key }) => key),
          ["k", "new"]
        )
      })
    )
  )

  it.effect("is not marked by one who does not hear a majority, nor left out on the word of one", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* running("abcde", 3)
      // a hears nobody, and c hears all but a.
      for (const link of "bcde") {
        cluster.cut("a", link)
        cluster.cut(link, "a")
      }
      for (const link of ["d", "e"]) {
        cluster.cut(link, "b")
        cluster.cut("b", link)
      }
      yield* TestClock.adjust(120_000)
      assert.deepStrictEqual(awayAt(a), [])
      // b hears c alone, which is no majority either: it has marked nobody, and is told by c.
      assert.deepStrictEqual(b.membership.marked(), {})
      assert.deepStrictEqual(awayAt(c), ["a left_out"])
      cluster.heal()
      yield* TestClock.adjust(20_000)
      for (const one of [a, b, c]) {
        assert.isTrue(one.status().voting)
        assert.deepStrictEqual(awayAt(one), [])
      }
    })
  )

  it.effect("comes back as often as it was away, also more often than it has peers, without a start in between", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* running("abc", 2)
      for (let i = 0; i < 4; i++) {
        for (const link of ["a", "b"]) {
          cluster.cut("c", link)
          cluster.cut(link, "c")
        }
        yield* TestClock.adjust(120_000)
        for (const one of [a, b]) assert.deepStrictEqual(awayAt(one), ["c left_out"])
        const before = c.logs.own
        cluster.heal()
        yield* TestClock.adjust(20_000)
        for (const one of [a, b]) assert.deepStrictEqual(awayAt(one), [])
        assert.deepStrictEqual([c.membership.obstacle(), c.status().voting], [undefined, true])
        assert.notStrictEqual(c.logs.own, before)
      }
    })
  )

  it.effect("is waited for when two of three are away: no majority can mark them", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* running("abc", 2)
      yield* b.stop
      yield* c.stop
      yield* TestClock.adjust(300_000)
      assert.deepStrictEqual(awayAt(a), [])
    })
  )

  it.effect("stays marked over a restart of who has marked it, until it is heard of", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make([..."abc"], 2)
      const a = yield* cluster.start("a", { replica })
      // b does not mark anybody.
      yield* cluster.start("b")
      const c = yield* cluster.start("c", { replica })
      yield* TestClock.adjust(1000)
      yield* c.stop
      yield* TestClock.adjust(59_000)
      assert.deepStrictEqual(awayAt(a), [])
      yield* TestClock.adjust(5_000)
      assert.deepStrictEqual(awayAt(a), ["c marked"])
      yield* a.stop
      const again = yield* cluster.start("a", { replica })
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(awayAt(again), ["c marked"])
      const back = yield* cluster.start("c", { replica })
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual([awayAt(again), back.status().voting], [[], true])
      assert.strictEqual(back.logs.own, c.logs.own)
    })
  )

  it.effect("is marked when more than so many bytes were appended meanwhile", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make([..."abc"], 2)
      const patient = { replica: { awayBytes: 2000 } }
      const [a, , c] = yield* Effect.forEach([..."abc"], (id) => cluster.start(id, patient))
      yield* TestClock.adjust(1000)
      yield* c!.stop
      yield* a!.writer.commit(put("k", "v".repeat(1000)))
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(awayAt(a!), [])
      yield* a!.writer.commit(put("k", "v".repeat(1000)))
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(awayAt(a!), ["c left_out"])
    })
  )

  it.effect(
    "RecoveringDoesNotVote L57: counts for nothing with what it acknowledged, and is counted in the quorum all the same",
    () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* running("abc", 2)
        yield* c.stop
        yield* TestClock.adjust(90_000)
        assert.deepStrictEqual(awayAt(a), ["c left_out"])
        yield* b.stop
        const write = yield* Effect.forkChild(Effect.flip(a.writer.commit(put("k"))))
        yield* TestClock.adjust(10_000)
        const error = yield* Fiber.join(write)
        assert.strictEqual(error._tag, "QuorumNotMet")
      })
  )
})
