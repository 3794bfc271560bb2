import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Logger, Result } from "effect"
import { TestClock } from "effect/testing"
import type { HybridLogicalClock } from "../src/index.ts"
import { Entry, LogId, ReplicaId } from "../src/index.ts"
import { EntryBatch, ReplicaStore, Watermark } from "../src/adapter.ts"
import * as ReplicaClock from "../src/log/ReplicaClock.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"
import * as Wall from "./support/wall.ts"

const hour = 3_600_000
const tenYears = 10 * 365 * 24 * hour
const today = 1_700_000_000_000
const log = LogId.make(ReplicaId.make("b"), "0000000000000001" as LogId.Incarnation)
const put = (key: string) => Entry.put("n", key, "v")
const at = (wallTime: number, logical = 0) => ({ wallTime, logical })
const anywhere = () => undefined

/** A batch whose entries have these clocks. */
const batch = (...entries: ReadonlyArray<readonly [key: string, clock: HybridLogicalClock.HybridLogicalClock]>) =>
  EntryBatch.encodeStamped(
    Watermark.none(log),
    entries.map(([key]) => put(key)),
    (index) => ({ clock: entries[index]![1], tie: "00000000000000aa" as never, unprobed: false })
  ).batch

const make = Effect.gen(function* () {
  yield* TestClock.setTime(today)
  return yield* on(yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") }))
})

/** The clock of a replica that is started on a store. */
const on = (store: ReplicaStore.ReplicaStore["Service"]) =>
  Effect.provideService(ReplicaClock.make, ReplicaStore.ReplicaStore, store)

const stampOf = (
  clock: ReplicaClock.ReplicaClock["Service"],
  key: string,
  after?: HybridLogicalClock.HybridLogicalClock
) => Result.getOrThrow(clock.stamp([put(key)], () => after))[0]!

describe("ReplicaClock", () => {
  it.effect("follows what it holds up to the bound from its own time, and not beyond", () =>
    Effect.gen(function* () {
      const clock = yield* make
      clock.held(batch(["k", at(today + 60_000, 7)]))
      assert.deepStrictEqual(clock.current(), at(today + 60_000, 7))
      clock.held(batch(["far", at(today + 60_001)]))
      assert.deepStrictEqual(clock.current(), at(today + 60_000, 7))
      assert.strictEqual(clock.farKeys(), 1)
      clock.held(batch(["k", at(today)]))
      assert.deepStrictEqual(clock.current(), at(today + 60_000, 7))
    })
  )

  it.effect("L51 a batch with one entry beyond the bound moves the clock by the others", () =>
    Effect.gen(function* () {
      const clock = yield* make
      clock.held(batch(["a", at(today + 5)], ["far", at(today + tenYears)], ["b", at(today + 9)], ["c", at(today + 7)]))
      assert.deepStrictEqual(clock.current(), at(today + 9))
      assert.deepStrictEqual(clock.far({ namespace: "n", key: "far" }), at(today + tenYears))
      assert.isUndefined(clock.far({ namespace: "n", key: "a" }))
    })
  )

  it.effect("LaterWins: a write of a key that was stamped far ahead comes after that, and moves no clock", () =>
    Effect.gen(function* () {
      const clock = yield* make
      clock.held(batch(["far", at(today + tenYears, 3)]))
      assert.deepStrictEqual(stampOf(clock, "far"), at(today + tenYears, 4))
      assert.deepStrictEqual(stampOf(clock, "far"), at(today + tenYears, 5))
      assert.deepStrictEqual(stampOf(clock, "near"), at(today))
      assert.deepStrictEqual(clock.current(), at(today))
      const both = Result.getOrThrow(clock.stamp([[put("near"), put("far")], put("near")], anywhere))
      assert.deepStrictEqual(both, [at(today + tenYears, 6), at(today + tenYears, 7)])
    })
  )

  it.effect(
    "OneEntryPerPlace: no two writes have one stamp, also when they come after clocks that are not followed",
    () =>
      Effect.gen(function* () {
        const clock = yield* make
        const far = at(today + hour, 7)
        const together = Result.getOrThrow(clock.stamp([put("a"), put("b")], () => far))
        const stamps = [
          ...together,
          stampOf(clock, "c", far),
          stampOf(clock, "d", at(today + tenYears)),
          stampOf(clock, "e", far)
        ]
        assert.deepStrictEqual(stamps, [
          at(today + hour, 8),
          at(today + hour, 9),
          at(today + hour, 10),
          at(today + tenYears, 1),
          at(today + hour, 11)
        ])
        assert.deepStrictEqual(stampOf(clock, "near"), at(today))
      })
  )

  it.effect(
    "OneEntryPerPlace: a clock that was followed and lies too far ahead since still ticks with every stamp",
    () =>
      Effect.gen(function* () {
        const clock = yield* make
        yield* TestClock.setTime(today + hour)
        assert.deepStrictEqual(stampOf(clock, "a"), at(today + hour))
        yield* TestClock.setTime(today)
        const floors = [at(today + hour - 1), at(today + hour - 1), at(today + hour, 30), at(today + hour, 5)]
        assert.deepStrictEqual(
          floors.map((floor) => stampOf(clock, "b", floor)),
          [1, 2, 31, 32].map((logical) => at(today + hour, logical))
        )
      })
  )

  it.effect("follows a far clock when the time has come near, and forgets its keys", () =>
    Effect.gen(function* () {
      const clock = yield* make
      clock.held(batch(["k", at(today + 100_000, 9)]))
      yield* TestClock.adjust(39_999)
      assert.strictEqual(stampOf(clock, "other").wallTime, today + 39_999)
      assert.isTrue(clock.isFar())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(stampOf(clock, "other"), at(today + 100_000, 10))
      assert.isFalse(clock.isFar())
    })
  )

  it.effect("stamps after what it is told, and after each other, wherever the wall clock is", () =>
    Effect.gen(function* () {
      const clock = yield* make
      assert.deepStrictEqual(stampOf(clock, "k", at(today + 5_000, 2)), at(today + 5_000, 3))
      yield* TestClock.setTime(today - hour)
      assert.deepStrictEqual(stampOf(clock, "j"), at(today + 5_000, 4))
      assert.deepStrictEqual(stampOf(clock, "k", at(today + tenYears)), at(today + tenYears, 1))
      assert.deepStrictEqual(stampOf(clock, "j"), at(today + 5_000, 5))
      assert.deepStrictEqual(stampOf(clock, "k"), at(today + tenYears, 2))
    })
  )

  it.effect("a clock at the end of its range stamps nothing, and goes on when it is set right", () =>
    Effect.gen(function* () {
      const clock = yield* make
      yield* TestClock.setTime(2 ** 48)
      assert.isTrue(Result.isFailure(clock.stamp([put("k")], anywhere)))
      yield* TestClock.setTime(today)
      assert.deepStrictEqual(stampOf(clock, "k"), at(today))
      const last = at(2 ** 48 - 1, 2 ** 32 - 1)
      assert.isTrue(Result.isFailure(clock.stamp([put("k")], () => last)))
      assert.deepStrictEqual(stampOf(clock, "k"), at(today, 1))
    })
  )

  it.effect(
    "no two stamps are one, though the key of the first was stamped further ahead before the time got there",
    () =>
      Effect.gen(function* () {
        const clock = yield* make
        const far = at(today + hour, 2)
        const first = stampOf(clock, "k", far)
        stampOf(clock, "k", at(today + 2 * hour))
        yield* TestClock.setTime(today + hour)
        assert.notDeepEqual(stampOf(clock, "l", far), first)
      })
  )
})

describe("a start", () => {
  const hold = Effect.fnUntraced(function* (
    clock: ReplicaClock.ReplicaClock["Service"],
    entries: EntryBatch.EntryBatch
  ) {
    yield* clock.secure(entries) ?? Effect.void
    clock.held(entries)
  })

  it.effect(
    "L51 goes on after all that was held, by a wall clock that is behind by now, and no further than it must",
    () =>
      Effect.gen(function* () {
        const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
        yield* TestClock.setTime(today)
        const crashed = yield* on(store)
        yield* hold(crashed, batch(["k", at(today + 50_000, 9)], ["k", at(today)]))
        yield* hold(crashed, batch(["far", at(today + tenYears)], ["j", at(today + 58_000)]))
        yield* TestClock.setTime(today - hour)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const clock = yield* on(store)
            assert.isTrue(clock.current().wallTime > today + 58_000 && clock.current().wallTime <= today + 63_000)
            assert.deepStrictEqual(stampOf(clock, "far"), at(today + tenYears, 1))
            assert.isAbove(stampOf(clock, "k").wallTime, today + 50_000)
          })
        )
      })
  )

  it.effect(
    "LaterWins: goes on after what the time had got to, also when other keys were noted as far ahead since",
    () =>
      Effect.gen(function* () {
        const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
        yield* TestClock.setTime(today)
        const crashed = yield* on(store)
        yield* hold(crashed, batch(["k", at(today + 100_000)]))
        yield* TestClock.adjust(50_000)
        // Now the first is near enough to be followed, and its key is forgotten.
        yield* hold(crashed, batch(["other", at(today + hour)], ["near", at(today)]))
        assert.strictEqual(crashed.farKeys(), 1)
        yield* TestClock.setTime(today)
        const clock = yield* Effect.scoped(on(store))
        assert.isAbove(stampOf(clock, "k").wallTime, today + 100_000)
      })
  )

  it.effect("LaterWins: goes on after the later of two clocks that were noted at once", () =>
    Effect.gen(function* () {
      const inner = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
      const disk = Latch.makeUnsafe(false)
      const setNotes = (notes: Readonly<Record<string, string>>) => Effect.andThen(disk.await, inner.setNotes(notes))
      yield* TestClock.setTime(today)
      const crashed = yield* on({ ...inner, setNotes })
      // From a member whose clock is ahead, and from another; the last entry is not the one with the latest clock.
      const ahead = batch(["k", at(today + 50_000)], ["late", at(today - 1)])
      const first = yield* Effect.forkChild(hold(crashed, ahead), { startImmediately: true })
      const second = yield* Effect.forkChild(hold(crashed, batch(["j", at(today)])), { startImmediately: true })
      disk.openUnsafe()
      yield* Effect.andThen(Fiber.join(first), Fiber.join(second))
      const clock = yield* Effect.scoped(on(inner))
      assert.isAbove(stampOf(clock, "k").wallTime, today + 50_000)
    })
  )

  it.effect("goes on exactly after an orderly end, and notes where the clock is once in a while", () =>
    Effect.gen(function* () {
      const inner = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
      let notes = 0
      const store = { ...inner, setNotes: (set: Readonly<Record<string, string>>) => (notes++, inner.setNotes(set)) }
      yield* TestClock.setTime(today)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const clock = yield* on(store)
          for (let i = 0; i < 100; i++) {
            yield* hold(clock, batch(["k", stampOf(clock, "k")]))
            yield* TestClock.adjust(100)
          }
        })
      )
      assert.strictEqual(notes, 35)
      assert.deepStrictEqual((yield* on(store)).current(), at(today + 9901))
    })
  )
})

describe("the end of the clock", () => {
  it.effect("L70 NotWrittenMeansNever: a delete at the end of the clock fails, and what was there before is read", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(2 ** 48 - 1001)
      const cluster = yield* Cluster.make(["a"], 1)
      const a = yield* cluster.start("a")
      yield* TestClock.adjust(1000)
      const { writeId } = yield* during(a.writer.commit(put("k")), 0)
      yield* TestClock.adjust(1)
      const refused = yield* during(failure(a.writer.commit(Entry.remove("n", "k")), "LocalWriteFailed"), 0)
      assert.include(refused.message, "end of its range")
      assert.strictEqual(a.logs.head(a.logs.own).seq, 1)
      assert.strictEqual((yield* a.records.read("n", "k")).valueOrUndefined?.writeId, writeId)
    })
  )

  it.effect(
    "LaterWins: a write there is later than those before it, also after restarts and when the clock is right",
    () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(today)
        const cluster = yield* Cluster.make(["a"], 1)
        const wall = yield* Wall.make(2 ** 48 - 1 - today)
        const values: Array<string | undefined> = []
        for (let run = 0; run < 4; run++) {
          const a = yield* Wall.by(wall)(cluster.start("a"))
          const stamp = yield* a.writer.stamp({ namespace: "n", key: "late" })
          for (let i = 4 * run; i < 4 * run + 4 - run; i++) {
            yield* during(a.writer.commit(Entry.put("n", "k", `${i}`)), 0)
            const found = yield* a.records.read("n", "k")
            values.push(new TextDecoder().decode(found.valueOrUndefined?.value))
          }
          // So that the last entry of the log is not the latest.
          yield* a.writer.commit(put("late"), { stamp })
          yield* during(a.stop, 5000)
          wall.set(0)
        }
        assert.deepStrictEqual(values, ["0", "1", "2", "3", "4", "5", "6", "8", "9", "12"])
      })
  )
})

describe("BoundedClocks", () => {
  const start = Effect.gen(function* () {
    yield* TestClock.setTime(today)
    const cluster = yield* Cluster.make(["a", "b", "c"], 2)
    const said: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])
    const wall = yield* Wall.make()
    const a = yield* Wall.by(wall)(cluster.start("a", { logger }))
    const b = yield* cluster.start("b")
    const c = yield* cluster.start("c")
    yield* TestClock.adjust(1500)
    return { a, b, c, cluster, said, wall }
  })

  it.effect("L51 a clock that jumps by ten years stamps no more than the bound ahead, and moves nobody's by more", () =>
    Effect.gen(function* () {
      const { a, b, c, wall } = yield* start
      wall.set(tenYears)
      const { writeId } = yield* during(a.writer.commit(put("k")), 10)
      const { clock } = yield* Effect.map(a.records.read("n", "k"), (record) => record.valueOrUndefined!)
      assert.isAtMost(clock.wallTime, today + 1600 + 60_000)
      yield* TestClock.adjust(2000)
      for (const { logs, records } of [a, b, c]) {
        assert.strictEqual(logs.vector().length, 1)
        assert.strictEqual((yield* records.read("n", "k")).valueOrUndefined?.writeId, writeId)
      }
      // What is stamped ten years ahead all the same, by a caller who says so, is held by all and followed by nobody.
      yield* a.logs.appendWrites([put("far")], () => ({ after: at(today + tenYears), unprobed: true }))
      yield* TestClock.adjust(2000)
      for (const { logs } of [a, b, c]) {
        assert.strictEqual(logs.head(a.logs.own).seq, 2)
        assert.isAtMost(logs.clock().wallTime, today + 5600 + 60_000)
      }
    })
  )

  it.effect("being held back is said once in the log when it begins, as an event, and when it ends", () =>
    Effect.gen(function* () {
      const { a, said, wall } = yield* start
      const told: Array<number> = []
      a.events.listen((event) => void (event._tag === "ClockHeld" && told.push(event.heldMillis)))
      wall.set(hour)
      yield* TestClock.adjust(5000)
      assert.strictEqual(said.filter((line) => line.includes(`is ${hour} ms ahead of`)).length, 1)
      wall.set(-hour)
      yield* TestClock.adjust(5000)
      assert.strictEqual(said.filter((line) => line.includes(`is ${hour} ms behind`)).length, 1)
      wall.set(0)
      yield* TestClock.adjust(5000)
      assert.strictEqual(said.filter((line) => line.includes("agrees with those of the others again")).length, 1)
      // To the millisecond that a handshake may take.
      assert.deepStrictEqual(
        told.map((millis) => Math.round(millis / 10) * 10),
        [hour - 60_000, 60_000 - hour, 0]
      )
    })
  )

  it.effect("L51 measures a peer's clock by what does not jump, though its own is set while it asks", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      cluster.faults.set("a>b", (client) => ({
        ...client,
        hello: (request) => Effect.delay(client.hello(request), 1000)
      }))
      const wall = yield* Wall.make()
      yield* cluster.start("b")
      const a = yield* Wall.by(wall)(cluster.start("a"))
      yield* TestClock.adjust(500)
      wall.set(18 * hour)
      yield* TestClock.adjust(1000)
      const { clockHeldMillis, peers } = a.status()
      // The delay lies on the way there only, so half of it is in the measure.
      assert.strictEqual(peers[0]!.clockSkewMillis, -18 * hour + 500)
      assert.isAtLeast(clockHeldMillis, 18 * hour - 61_000)
    })
  )
})
