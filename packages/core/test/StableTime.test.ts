/** Floors and stable time in a replica set: raised, told, held back, kept through restarts and losses. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, HybridLogicalClock, LogId, StampToken } from "../src/index.ts"
import type { PeerProtocol } from "../src/adapter.ts"
import { RunId } from "../src/adapter.ts"
import { StampHorizon } from "../src/log/Floor.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"

const horizonMillis = 5000
const put = (value: string, key = "k") => Entry.put("n", key, value)
const at = (wallTime: number, logical = 0) => ({ wallTime, logical })
const isAtOrBefore = (a: HybridLogicalClock.HybridLogicalClock, b: HybridLogicalClock.HybridLogicalClock) =>
  HybridLogicalClock.compare(a, b) <= 0

/** The test of a replica set whose stamps are good for five seconds. */
const test = <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.provideService(body, StampHorizon, horizonMillis)

const now = Effect.map(
  TestClock.testClockWith((clock) => clock.currentTimeMillis),
  Number
)

/** A stamp for `n k` with this clock. */
const stampAt = (wallTime: number, key = "k") =>
  StampToken.make({ clock: at(wallTime), tie: RunId.none, unprobed: true }, [{ namespace: "n", key }])

describe("stable time", () => {
  it.effect("follows the time of an idle replica set at the distance of the horizon, and only rises", () =>
    test(
      Effect.gen(function* () {
        const { replicas } = yield* Cluster.running("abc", 2)
        yield* TestClock.adjust(20_000)
        for (const { status } of replicas) {
          const { clock, since } = status().stableTime
          assert.isAtLeast(clock.wallTime, (yield* now) - horizonMillis - 4000)
          assert.isAtMost(clock.wallTime, (yield* now) - horizonMillis)
          assert.isAtLeast(since, (yield* now) - 4000)
        }
      })
    )
  )

  it.effect("stands still while a member is away, says who that is and since when, and rises once it is back", () =>
    test(
      Effect.gen(function* () {
        const { a, c, cluster } = yield* Cluster.running("abc", 2)
        yield* TestClock.adjust(20_000)
        yield* during(c.stop, 5000)
        yield* during(a.writer.commit(put("1")), 100)
        yield* TestClock.adjust(10_000)
        const { clock, heldBackBy, since } = a.status().stableTime
        assert.deepStrictEqual(heldBackBy, [Cluster.id("c")])
        yield* TestClock.adjust(30_000)
        assert.deepStrictEqual(a.status().stableTime, { clock, heldBackBy, since })
        yield* cluster.start("c")
        yield* TestClock.adjust(10_000)
        assert.isAbove(a.status().stableTime.clock.wallTime, clock.wallTime + 30_000)
      })
    )
  )

  it.effect("is below what a member holds and others do not", () =>
    test(
      Effect.gen(function* () {
        const { a, b, cluster } = yield* Cluster.running("abc", 2)
        yield* TestClock.adjust(10_000)
        for (const from of ["a", "b"]) cluster.cut(from, "c")
        const receipt = yield* during(a.writer.commit(put("1")), 200)
        yield* TestClock.adjust(20_000)
        for (const { status } of [a, b]) assert.isFalse(isAtOrBefore(receipt.clock, status().stableTime.clock))
        cluster.heal()
        yield* TestClock.adjust(20_000)
        for (const { status } of [a, b]) assert.isTrue(isAtOrBefore(receipt.clock, status().stableTime.clock))
      })
    )
  )

  it.effect("rests on no floor that a replica gives before it has measured the clocks of a majority", () =>
    test(
      Effect.gen(function* () {
        const { a, cluster } = yield* Cluster.running("abc", 2, "a")
        yield* TestClock.adjust(60_000)
        assert.deepStrictEqual(a.logs.floor(), HybridLogicalClock.zero)
        yield* cluster.start("b")
        yield* TestClock.adjust(10_000)
        assert.isAbove(a.logs.floor().wallTime, 0)
      })
    )
  )
})

describe("a floor", () => {
  it.effect(
    "refuses the stamps at or before it where the place is given, and no others of the batch, also after a restart",
    () =>
      Effect.gen(function* () {
        const { a, cluster } = yield* Cluster.running("a", 1)
        yield* TestClock.adjust(60_000)
        const early = stampAt(30_000)
        yield* a.logs.raiseFloor(at(30_000))
        const both = Effect.all(
          [
            failure(a.writer.commit(put("early"), { stamp: early }), "TooOldToKnow"),
            a.writer.commit(put("later", "l"), { stamp: stampAt(30_001, "l") }),
            a.writer.commit(put("new", "m"))
          ],
          { concurrency: "unbounded" }
        )
        yield* during(both, 10)
        assert.strictEqual(a.logs.head(a.logs.own).seq, 2)
        yield* a.stop
        const again = yield* cluster.start("a")
        assert.deepStrictEqual(again.logs.floor(), at(30_000))
        yield* during(failure(again.writer.commit(put("early"), { stamp: early }), "TooOldToKnow"), 1000)
        assert.isTrue(isAtOrBefore(at(30_000), again.logs.clock()))
      })
  )

  it.effect("never falls, and comes before every later stamp", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      yield* a.logs.raiseFloor(at(70_000))
      yield* a.logs.raiseFloor(at(60_000))
      assert.deepStrictEqual(a.logs.floor(), at(70_000))
      yield* TestClock.adjust(60_000)
      yield* during(failure(a.writer.commit(put("early"), { stamp: stampAt(65_000) }), "TooOldToKnow"), 10)
      const { clock } = yield* during(a.writer.commit(put("1")), 10)
      assert.isTrue(HybridLogicalClock.compare(clock, at(70_000)) > 0)
    })
  )

  it.effect("of those from whom a member recovers is that of its next life", () =>
    Effect.gen(function* () {
      const { a, c, cluster, replicas } = yield* Cluster.running("abc", 2)
      yield* TestClock.adjust(60_000)
      for (const { logs } of replicas) yield* logs.raiseFloor(at(30_000))
      yield* during(a.writer.commit(put("1"), { w: "all" }), 100)
      yield* c.stop
      cluster.wipe("c")
      const empty = yield* cluster.start("c")
      assert.deepStrictEqual(empty.logs.floor(), HybridLogicalClock.zero)
      yield* TestClock.adjust(5000)
      assert.isTrue(empty.membership.isVoting())
      assert.deepStrictEqual(empty.logs.floor(), at(30_000))
      yield* during(failure(empty.writer.commit(put("early"), { stamp: stampAt(29_000) }), "TooOldToKnow"), 1000)
    })
  )

  it.effect(
    "that a replica gave, and knows nothing of because its store was put back, holds for what it writes all the same",
    () =>
      Effect.gen(function* () {
        const { a, c, cluster, replicas } = yield* Cluster.running("abc", 2)
        yield* TestClock.adjust(60_000)
        yield* during(a.writer.commit(put("1"), { w: "all" }), 100)
        const before = yield* cluster.storeOf("c")
        for (const { logs } of replicas) yield* logs.raiseFloor(at(30_000))
        yield* c.stop
        // It lacks nothing that was written, so nothing else tells that it was put back.
        yield* before.setNotes({ floor: "" })
        const again = yield* cluster.start("c")
        assert.deepStrictEqual(again.logs.floor(), HybridLogicalClock.zero)
        yield* during(failure(again.writer.commit(put("early"), { stamp: stampAt(29_000) }), "TooOldToKnow"), 5000)
        assert.isTrue(again.membership.isVoting())
        assert.deepStrictEqual(again.logs.floor(), at(30_000))
      })
  )

  it.effect(
    "of less of a log than was committed again does not count, nor one of a log of which something is left",
    () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* Cluster.running("abc", 2)
        yield* during(a.writer.commit(put("1"), { w: "all" }), 100)
        const entry = yield* Effect.map(a.logs.read(a.logs.own, 0, 1), (batch) =>
          Entry.decodeAt(Option.getOrThrow(batch).bytes, 0)
        )
        const floorOf = (replica: Cluster.Running) => replica.membership.says(Cluster.id("a")).floor!
        assert.deepInclude(floorOf(b), { end: 0, again: 0 })
        yield* b.logs.raiseFloor(at(3_600_000))
        yield* b.logs.appendWrites([put("1")], () => ({
          after: undefined,
          unprobed: true,
          drawn: { clock: entry.clock, tie: entry.tie, unprobed: true },
          again: true
        }))
        yield* b.membership.kept.add({
          log: c.logs.own,
          after: 0,
          upTo: 1,
          because: "fork",
          peer: Cluster.id("c"),
          again: [{ from: 1, count: 1, log: b.logs.own, at: 1 }],
          wallMillis: 0
        })
        assert.deepInclude(floorOf(b), { end: 1, again: 1 })
      })
  )
})

describe("a former life", () => {
  it.effect("is refused what it still pushes as soon as a newer one is heard of from anybody", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* Cluster.running("abc", 2, "ab")
      // Whether c knows more of them is waited for, for a while.
      yield* TestClock.adjust(5000)
      yield* during(a.writer.commit(put("1"), { w: 2 }), 100)
      const client = yield* cluster.network.connect(Cluster.id("b"))
      const incarnation = a.logs.identity.incarnation
      const hello = (replica: string, more: Partial<PeerProtocol.Hello> = {}) =>
        client.hello({
          version: 3,
          versions: [3],
          cluster: "test",
          replica: Cluster.id(replica),
          ...a.membership.says(Cluster.id("b")),
          vector: [],
          sentAt: 0,
          ...more
        })
      const { session } = yield* hello("a")
      const batch = Option.getOrThrow(yield* a.logs.read(a.logs.own, 0, 1000))
      yield* client.push({ session, batch })
      const next = LogId.incarnationAt(0, 0, incarnation)
      const members = { [Cluster.id("a")]: { incarnation: next, run: RunId.none, starts: 1, startedAt: 0 } }
      const stranger = "00000000000000cc" as LogId.Incarnation
      yield* hello("c", { incarnation: stranger, run: "00000000000000cc" as RunId.RunId, members })
      assert.isTrue(b.membership.isFormer(Cluster.id("a"), incarnation))
      yield* failure(client.push({ session, batch }), "SessionUnknown")
    })
  )
})
