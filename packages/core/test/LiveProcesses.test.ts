/** Processes of one replica that are alive at the same time: who goes on, and who takes no write. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry } from "../src/index.ts"
import { EntryBatch } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { apart, copyOf, together } from "./support/copies.ts"
import { during, failure } from "./support/time.ts"
import * as Wall from "./support/wall.ts"

const put = (key: string, value = "v") => Entry.put("notes", key, value)

describe("two live processes of one replica", () => {
  it.effect(
    "with peers in common: those refuse the second, which takes no write, and the first hears of it from each",
    () =>
      Effect.gen(function* () {
        const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
        const told: Array<string> = []
        a.events.listen((event) => void (event._tag === "RivalRefused" && told.push(`${event.peer} ${event.run}`)))
        const copy = yield* copyOf(yield* cluster.storeOf("a"), "other_place")
        // As a store does that is opened elsewhere.
        yield* copy.renew()
        cluster.stores.set("a", copy)
        const second = yield* cluster.start("a", { second: "A" })
        yield* TestClock.adjust(5000)
        assert.include(second.membership.obstacle(), "another live process has the id a, says b, c")
        const { run } = second.logs
        assert.deepStrictEqual(told.sort(), [`${b.id} ${run}`, `${c.id} ${run}`])
        yield* during(a.writer.commit(put("1"), { w: "all" }), 1000)
        yield* during(second.stop, 5000)
        yield* TestClock.adjust(20_000)
        assert.strictEqual(told.length, 2)
        assert.isTrue(a.membership.isVoting())
      })
  )

  it.effect.each([
    ["a copy elsewhere", "other_place"],
    ["one that looks like the very same store", "none"]
  ] as const)(
    "of which the second runs on %s, without a peer in common, are noticed, and the one that began later stops",
    ([, doubt]) =>
      Effect.gen(function* () {
        const { a, cluster } = yield* Cluster.running("abc", 2)
        yield* during(a.writer.commit(put("1")), 100)
        yield* TestClock.adjust(5000)
        const copy = yield* copyOf(yield* cluster.storeOf("a"), doubt)
        apart(cluster, "a", "c")
        yield* TestClock.adjust(5000)
        cluster.stores.set("a", copy)
        const said: Array<string> = []
        const logger = Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])
        const second = yield* cluster.start("a", { second: "A", logger })
        apart(cluster, "A", "b")
        yield* TestClock.adjust(30_000)
        assert.include(second.membership.obstacle(), "another process with the id a is alive, and this one began later")
        // Once, however often it is refused.
        assert.lengthOf(
          said.filter((line) => line.includes("began later")),
          1
        )
        const error = yield* during(Effect.flip(second.writer.commit(put("2"))), 20_000)
        assert.include(error.message, "nothing was written")
        together(cluster, "a", "c")
        yield* TestClock.adjust(10_000)
        assert.isTrue(a.membership.isVoting())
        yield* during(a.writer.commit(put("3")), 1000)
        assert.isTrue(Option.isSome(yield* a.records.read("notes", "1")))
        assert.isAtLeast(EntryBatch.last(Option.getOrThrow(yield* a.logs.read(a.logs.own, 0, 1000))), 1)
      })
  )

  /** A second process on the very files of the first, for all that either can know, beside it. */
  const twice = Effect.gen(function* () {
    const set = yield* Cluster.running("abc", 2)
    const { a, cluster } = set
    yield* during(a.writer.commit(put("1")), 100)
    yield* TestClock.adjust(5000)
    const copy = yield* copyOf(yield* cluster.storeOf("a"), "none")
    cluster.stores.set("a", copy)
    return { ...set, log: a.logs.own, second: () => cluster.start("a", { second: "A" }) }
  })

  it.effect(
    "OneEntryPerPlace: of one incarnation: who knows the first refuses the second, which takes no write; the first goes on and hears of it",
    () =>
      Effect.gen(function* () {
        const { a, log, second: begin } = yield* twice
        const told: Array<string> = []
        a.events.listen((event) => void (event._tag === "RivalRefused" && told.push(`${event.peer} ${event.run}`)))
        const second = yield* begin()
        for (let i = 0; i < 10; i++) {
          yield* during(a.writer.commit(put(`${i}`), { w: "all" }), 100)
          yield* TestClock.adjust(1000)
          assert.include(second.membership.obstacle(), "another live process has the id a, says b, c")
        }
        assert.deepStrictEqual([a.logs.own, second.logs.own], [log, log])
        // Whoever reaches it in the place of the first counts it for nothing: it lacks what that acked.
        assert.deepStrictEqual([a.status().voting, second.status().voting], [true, false])
        yield* failure(second.records.read("notes", "1"), "NotReady")
        assert.deepStrictEqual(told.sort(), [`b ${second.logs.run}`, `c ${second.logs.run}`])
        const error = yield* during(Effect.flip(second.writer.commit(put("2"))), 20_000)
        assert.include(error.message, "nothing was written")
        // What it lacks is seen as soon as it is greeted: it takes no place of that log.
        yield* during(a.stop, 5000)
        yield* TestClock.adjust(10_000)
        assert.isTrue(second.membership.isVoting())
        assert.notStrictEqual(second.logs.own, log)
        assert.strictEqual(second.logs.head(log).seq, 11)
        yield* during(second.writer.commit(put("3")), 100)
      })
  )

  it.effect("names those that refuse it in one order, whoever was first", () =>
    Effect.gen(function* () {
      const { cluster, second: begin } = yield* twice
      apart(cluster, "A", "b")
      const second = yield* begin()
      yield* TestClock.adjust(2000)
      assert.include(second.membership.obstacle(), "another live process has the id a, says c")
      together(cluster, "A", "b")
      yield* TestClock.adjust(5000)
      assert.include(second.membership.obstacle(), "another live process has the id a, says b, c")
    })
  )

  it.effect(
    "of one incarnation, of which the first hung: the second takes its place, and one goes on when it wakes",
    () =>
      Effect.gen(function* () {
        const { a, b, c, cluster, second: begin } = yield* twice
        apart(cluster, "a", "bc")
        yield* TestClock.adjust(4000)
        const second = yield* begin()
        yield* TestClock.adjust(1500)
        const { writeId } = yield* during(second.writer.commit(put("2")), 100)
        assert.isTrue(writeId.startsWith(`${second.logs.own}:2.`))
        together(cluster, "a", "bc")
        yield* TestClock.adjust(30_000)
        const both = [a, second]
        const writing = both.filter(({ membership }) => membership.isVoting() && membership.mayWrite())
        assert.strictEqual(writing.length, 1)
        yield* during(writing[0]!.writer.commit(put("3"), { w: "all" }), 100)
        for (const { records } of [writing[0]!, b, c]) {
          for (const key of ["1", "2", "3"]) assert.isTrue(Option.isSome(yield* records.read("notes", key)), key)
        }
        assert.strictEqual((yield* during(b.writer.status(writeId), 100)).writeId, writeId)
      })
  )

  it.effect("of one incarnation, one after the other, are a restart, and nobody waits for it", () =>
    Effect.gen(function* () {
      const { a, second: begin } = yield* twice
      yield* a.stop
      const second = yield* begin()
      yield* TestClock.adjust(1)
      yield* during(second.writer.commit(put("2"), { w: "all" }), 10)
    })
  )

  it.effect(
    "are none where a disk is lost again and again, though one was begun at the end of the range of clocks",
    () =>
      Effect.gen(function* () {
        const { b, cluster } = yield* Cluster.running("ab", 2)
        const wall = yield* Wall.make(2 ** 48)
        let last = b
        for (let losses = 0; losses < 6; losses++) {
          yield* during(last.stop, 5000)
          cluster.wipe("b")
          last = yield* Wall.by(wall)(cluster.start("b"))
          yield* TestClock.adjust(10_000)
          assert.isUndefined(last.membership.obstacle(), `after ${losses + 1} losses`)
          wall.set(0)
        }
        yield* during(last.writer.commit(put("1")), 1000)
      })
  )
})
