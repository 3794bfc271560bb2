/** Everything that is stored is read again, in the background and when somebody asks for it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, HybridLogicalClock, type ReplicaEvents } from "../src/index.ts"
import { PeerProtocol, RecordIndex, ReplicaStore } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { during, pass } from "./support/time.ts"

const day = 24 * 60 * 60 * 1000

/** A replica set of one with some entries, and its disk. */
const filled = Effect.fnUntraced(function* (replica = {}, index?: RecordIndex.RecordIndex["Service"], tookMillis = 0) {
  const cluster = yield* Cluster.make(["a"], 1)
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
  let slices: Array<{ readonly at: number; readonly maxBytes: number }> = []
  let isFailing = false
  cluster.stores.set("a", {
    ...store,
    get identity() {
      return store.identity
    },
    check: (log, at, maxBytes) =>
      Effect.suspend(() => {
        slices.push({ at, maxBytes })
        if (isFailing) return Effect.fail(new ReplicaStore.StoreError({ reason: "unavailable", detail: "EIO" }))
        return Effect.delay(store.check(log, at, 100), tookMillis)
      })
  })
  const a = yield* cluster.start("a", { replica, ...(index && { index }) })
  yield* TestClock.adjust(10)
  for (let i = 0; i < 10; i++) yield* during(a.writer.commit(Entry.put("ns", `${i}`, "v")), 10)
  const events: Array<ReplicaEvents.ReplicaEvent> = []
  a.events.listen((event) => void events.push(event))
  const told = (tag: ReplicaEvents.ReplicaEvent["_tag"]) => events.filter(({ _tag }) => _tag === tag).length
  return {
    a,
    told,
    damage: (seq: number) => store.damage(a.logs.own, seq),
    fail: (failing: boolean) => void (isFailing = failing),
    takeSlices: () => {
      const taken = slices
      slices = []
      return taken
    }
  }
})

describe("DamageIsLocal: a scrub", () => {
  it.effect("reads all again a minute after the start and then every day, in slices with pauses", () =>
    Effect.gen(function* () {
      const { a, takeSlices, told } = yield* filled()
      assert.deepStrictEqual(a.status().scrub, { last: null, current: null })
      yield* TestClock.adjust(59_000)
      assert.strictEqual(told("Scrubbed"), 0)
      yield* pass(2000)
      assert.strictEqual(told("Scrubbed"), 1)
      const { current, last } = a.status().scrub
      assert.isNull(current)
      assert.strictEqual(last?.entries, 10)
      assert.isAbove(last!.millis, 16)
      const slices = takeSlices()
      assert.isAbove(slices.length, 4)
      for (const { maxBytes } of slices) assert.strictEqual(maxBytes, 4 * 1024)
      yield* TestClock.adjust(day - 10_000)
      assert.strictEqual(told("Scrubbed"), 1)
      yield* pass(20_000)
      assert.strictEqual(told("Scrubbed"), 2)
      // Nothing else need happen often in a day of virtual time.
    }).pipe(Effect.provideService(PeerProtocol.HeartbeatInterval, 60_000))
  )

  it.effect("works for a twentieth of the time", () =>
    Effect.gen(function* () {
      const { a, takeSlices } = yield* filled({}, undefined, 10)
      yield* TestClock.adjust(59_000)
      takeSlices()
      yield* pass(10_000)
      const { last } = a.status().scrub
      const slices = takeSlices().length
      assert.isAbove(slices, 3)
      assert.strictEqual(last!.millis, slices * 200)
    }).pipe(Effect.provideService(PeerProtocol.HeartbeatInterval, 60_000))
  )

  it.effect("ends with what was held when it came, however fast a log grows", () =>
    Effect.gen(function* () {
      const { a } = yield* filled({ scrubEvery: "1 hour" })
      yield* TestClock.adjust(59_000)
      const one = Effect.andThen(a.writer.commit(Entry.put("ns", "k", "v")), Effect.sleep(1))
      yield* Effect.forkChild(Effect.forever(one))
      yield* pass(5000)
      const { last } = a.status().scrub
      assert.isNotNull(last)
      // Ten, and those that were written in the second before it came.
      assert.isAtMost(last!.entries, 1100)
    })
  )

  it.effect("shows how far it is", () =>
    Effect.gen(function* () {
      const { a } = yield* filled({ scrubEvery: "1 hour" })
      const seen: Array<number> = []
      yield* TestClock.adjust(59_000)
      for (let i = 0; i < 2000; i++) {
        yield* TestClock.adjust(1)
        const entries = a.status().scrub.current?.entries
        if (entries !== undefined && entries !== seen[seen.length - 1]) seen.push(entries)
      }
      assert.isAbove(seen.length, 3)
      assert.deepStrictEqual(
        seen,
        [...seen].sort((x, y) => x - y)
      )
      assert.isNull(a.status().scrub.current)
    })
  )

  it.effect("finds what nobody reads, and goes on after it", () =>
    Effect.gen(function* () {
      const { a, damage, told } = yield* filled({ scrubEvery: "1 hour" })
      damage(4)
      damage(7)
      assert.deepStrictEqual(a.status().damaged, [])
      yield* pass(70_000)
      assert.deepStrictEqual(
        a.status().damaged.map(({ from }) => from),
        [4, 7]
      )
      assert.strictEqual(told("DamageFound"), 2)
      assert.strictEqual(a.status().scrub.last?.entries, 10)
    })
  )

  it.effect("that cannot read says so, and is made again a minute later", () =>
    Effect.gen(function* () {
      const { a, fail, told } = yield* filled()
      fail(true)
      yield* pass(61_000)
      assert.deepStrictEqual([told("Scrubbed"), told("ScrubFailed")], [0, 1])
      assert.deepStrictEqual(a.status().scrub, { last: null, current: null })
      fail(false)
      yield* pass(61_000)
      assert.deepStrictEqual([told("Scrubbed"), told("ScrubFailed")], [1, 1])
    })
  )

  for (const [what, damaged] of [
    ["hides a record", () => []],
    ["takes a record for deleted", (pointer) => [{ ...pointer, deleted: true }]],
    ["has an older write of a key", (pointer) => [{ ...pointer, clock: HybridLogicalClock.zero }]]
  ] satisfies ReadonlyArray<readonly [string, (pointer: RecordIndex.Pointer) => ReadonlyArray<RecordIndex.Pointer>]>) {
    it.effect(`has an index that ${what} built again`, () =>
      Effect.gen(function* () {
        const index = yield* RecordIndex.makeMemory
        const { a } = yield* filled({ scrubEvery: "1 hour" }, index)
        yield* TestClock.adjust(10_000)
        const pointer = Option.getOrThrow(yield* index.get("ns", "4"))
        yield* index.forget([pointer])
        yield* index.merge(damaged(pointer), new Map())
        assert.notDeepEqual(yield* index.get("ns", "4"), Option.some(pointer))
        yield* pass(70_000)
        assert.deepStrictEqual(yield* index.get("ns", "4"), Option.some(pointer))
        assert.strictEqual(Option.getOrThrow(yield* a.records.read("ns", "4")).key, "4")
      })
    )
  }
})
