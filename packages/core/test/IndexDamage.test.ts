/** A record index that is damaged or cannot be read for a while, in a replica that goes on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Option } from "effect"
import { TestClock } from "effect/testing"
import { EntryBatch, RecordIndex, ReplicaStore, Watermark } from "../src/adapter.ts"
import { Entry, HybridLogicalClock, LogId, WriteId } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { memory, open } from "./support/reads.ts"
import { during, pass } from "./support/time.ts"

type Index = RecordIndex.RecordIndex["Service"]
type Call = "get" | "scan" | "merge"

const damage = new ReplicaStore.StoreError({ reason: "corrupt", detail: "index.db is damaged" })
const eio = new ReplicaStore.StoreError({ reason: "unavailable", detail: "index.db: EIO" })

/** An index whose calls fail as they are told to; a reset mends them. */
const faulty = Effect.gen(function* () {
  const index = yield* RecordIndex.makeMemory
  const failing = new Map<Call, ReplicaStore.StoreError>()
  let resets = 0
  const unless = <A>(call: Call, effect: Effect.Effect<A, ReplicaStore.StoreError>) =>
    Effect.suspend(() => {
      const error = failing.get(call)
      return error === undefined ? effect : Effect.fail(error)
    })
  const service: Index = {
    progress: index.progress,
    get: (namespace, key) => unless("get", index.get(namespace, key)),
    getAll: (keys) => unless("get", index.getAll(keys)),
    scan: (options) => unless("scan", index.scan(options)),
    merge: (pointers, progress) => unless("merge", index.merge(pointers, progress)),
    forget: index.forget,
    reset: Effect.suspend(() => {
      failing.clear()
      resets++
      return index.reset
    })
  }
  return { service, failing, memory: index, resets: () => resets }
})

/** A store whose reads wait while its gate is closed. */
const gated = (store: ReplicaStore.ReplicaStore["Service"]) => {
  const gate = Latch.makeUnsafe(true)
  const slow: ReplicaStore.ReplicaStore["Service"] = {
    ...store,
    read: (...args) => Effect.andThen(gate.await, store.read(...args))
  }
  return { gate, store: slow }
}

/** Ten records in a replica whose index has them all; the logs are read behind a gate. */
const filled = Effect.gen(function* () {
  const index = yield* faulty
  const durable = yield* memory
  const first = yield* open(durable, index.service).pipe(
    Effect.tap(({ logs }) =>
      Effect.forEach(keys, (key) => logs.appendWrites([Entry.put("n", key, `v${key}`.padEnd(60_000))]))
    ),
    Effect.scoped
  )
  const { gate, store } = gated(durable)
  return { ...(yield* open(store, index.service)), durable, gate, index, own: first.logs.own }
})

const keys = Array.from({ length: 10 }, (_, i) => `${i}`)
const all = { limit: 100 }

describe("an index that is damaged in use", () => {
  for (const [what, failing, find] of [
    ["a read", "get", "read"],
    ["a page", "scan", "page"],
    ["a merge", "merge", "merge"]
  ] as const) {
    it.effect(`as ${what} finds, is built again while reads say so and appends go on`, () =>
      Effect.gen(function* () {
        const { follower, gate, index, logs, records } = yield* filled
        gate.closeUnsafe()
        index.failing.set(failing, damage)
        if (find === "read") assert.strictEqual(yield* Effect.flip(records.read("n", "1")), damage)
        if (find === "page") assert.strictEqual(yield* Effect.flip(records.page(all)), damage)
        yield* logs.appendWrites([Entry.put("n", "during", "v")])
        yield* TestClock.adjust(10_000)
        assert.strictEqual(index.resets(), 1)
        assert.isTrue(follower.isBuilding())
        for (const read of [records.read("n", "1"), records.page(all), records.newest("n", "1", [])] as const) {
          const error = yield* Effect.flip<unknown, unknown, never>(read)
          assert.include(String(error), "built again")
        }
        yield* logs.appendWrites([Entry.put("n", "1", "newer")])
        gate.openUnsafe()
        yield* pass(20)
        assert.isFalse(follower.isBuilding())
        assert.isUndefined(follower.fault())
        const found = Option.getOrThrow(yield* records.read("n", "1"))
        assert.strictEqual(new TextDecoder().decode(found.value), "newer")
        assert.lengthOf((yield* records.page(all)).records, 11)
        // And it is a whole index again, which a restart may trust.
        yield* TestClock.adjust(10_000)
        assert.deepStrictEqual(yield* index.memory.progress, new Map([[logs.own, 12]]))
        assert.lengthOf(yield* index.memory.scan({ limit: 100 }), 11)
      })
    )
  }

  it.effect("by a pointer to another write, or to none, is built again, and then is right", () =>
    Effect.gen(function* () {
      const { index, own, records } = yield* filled
      const right = Option.getOrThrow(yield* index.memory.get("n", "1"))
      const later = { ...right.clock, logical: right.clock.logical + 1 }
      for (const wrong of [
        { ...right, clock: later },
        { ...right, clock: later, seq: 3 },
        { ...right, clock: later, seq: 99 },
        { ...right, clock: later, log: own.replace("a", "z") as typeof own }
      ]) {
        // A page names nothing as damaged that is not.
        for (const reading of [records.read("n", "1"), records.page(all)] as const) {
          yield* index.service.merge([wrong], new Map())
          const error = yield* Effect.flip<unknown, unknown, never>(reading)
          assert(error instanceof ReplicaStore.StoreError)
          assert.strictEqual(error.reason, "corrupt")
          yield* pass(20)
          const { log, seq } = WriteId.place(Option.getOrThrow(yield* records.read("n", "1")).writeId)
          assert.deepStrictEqual([log, seq], [own, 2])
        }
      }
      assert.strictEqual(index.resets(), 8)
    })
  )

  it.effect("is built from the beginning once more when it is damaged again meanwhile, and not in a hurry", () =>
    Effect.gen(function* () {
      const index = yield* faulty
      const { follower, logs, records } = yield* open(yield* memory, index.service)
      yield* logs.appendWrites([Entry.put("n", "k", "v")])
      let resets = 0
      index.failing.set("merge", damage)
      const broken: Index["reset"] = Effect.andThen(
        index.service.reset,
        Effect.sync(() => void (++resets < 3 && index.failing.set("merge", damage)))
      )
      Object.assign(index.service, { reset: broken })
      yield* TestClock.adjust(5000)
      yield* pass(900)
      assert.isAtMost(resets, 1)
      yield* TestClock.adjust(60_000)
      assert.strictEqual(resets, 3)
      assert.isFalse(follower.isBuilding())
      assert.isTrue(Option.isSome(yield* records.read("n", "k")))
      assert.deepStrictEqual(yield* index.memory.progress, new Map([[logs.own, 1]]))
    })
  )

  it.effect("is thrown away also when its replica closes at once, and the next start is right", () =>
    Effect.gen(function* () {
      const index = yield* faulty
      const store = yield* memory
      let resets = 0
      // The first is under way when the replica closes.
      const reset = Effect.suspend(() => (++resets === 1 ? Effect.never : index.service.reset))
      yield* Effect.gen(function* () {
        const { logs, records } = yield* open(store, { ...index.service, reset })
        yield* logs.appendWrites([Entry.put("n", "k", "v")])
        yield* TestClock.adjust(6000)
        index.failing.set("get", damage)
        yield* Effect.flip(records.read("n", "k"))
        yield* pass(20)
        assert.strictEqual(resets, 1)
      }).pipe(Effect.scoped)
      assert.strictEqual(resets, 2)
      assert.strictEqual((yield* index.memory.progress).size, 0)
      const { records } = yield* open(store, index.service)
      assert.isTrue(Option.isSome(yield* records.read("n", "k")))
    })
  )

  it.effect("by a merge while it is built is thrown away at once, also by a start", () =>
    Effect.gen(function* () {
      const index = yield* faulty
      const store = yield* memory
      const own = LogId.make(store.identity.replica, store.identity.incarnation)
      // So many keys are enough to be merged while the logs are read.
      const writes = Array.from({ length: 140_000 }, (_, i) => Entry.put("n", `k${i}`, ""))
      yield* store.append(EntryBatch.encode(Watermark.none(own), writes, HybridLogicalClock.zero, 1).batch)
      index.failing.set("merge", damage)
      const { follower, records } = yield* open(store, index.service)
      assert.strictEqual(index.resets(), 1)
      assert.isFalse(follower.isBuilding())
      for (const key of ["k0", "k139999"]) assert.isTrue(Option.isSome(yield* records.read("n", key)))
    })
  )

  it.effect("under a read that takes its time gives no answer from after it was thrown away", () =>
    Effect.gen(function* () {
      const { index, records } = yield* filled
      const gate = Latch.makeUnsafe(false)
      const { get } = index.service
      Object.assign(index.service, { get: () => Effect.andThen(gate.await, Effect.succeedNone) })
      const read = yield* Effect.forkChild(Effect.exit(records.read("n", "1")))
      yield* pass(20)
      index.failing.set("scan", damage)
      yield* Effect.flip(records.page(all))
      yield* pass(20)
      assert.lengthOf((yield* records.page(all)).records, 10)
      gate.openUnsafe()
      assert.isTrue(Exit.isFailure(yield* Fiber.join(read)))
      Object.assign(index.service, { get })
      assert.isTrue(Option.isSome(yield* records.read("n", "1")))
    })
  )

  it.effect("and found so by the start, stops no start", () =>
    Effect.gen(function* () {
      const index = yield* faulty
      const { logs } = yield* open(yield* memory, { ...index.service, progress: Effect.fail(damage) })
      assert.strictEqual(index.resets(), 1)
      assert.lengthOf(logs.heads(), 0)
    })
  )

  it.effect("costs its replica no commit and no vote, and its reads say that it is not ready", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const index = yield* faulty
      const { gate, store } = gated(yield* cluster.storeOf("a"))
      cluster.stores.set("a", store)
      const a = yield* cluster.start("a", { index: index.service })
      const b = yield* cluster.start("b")
      yield* cluster.start("c")
      yield* TestClock.adjust(1000)
      yield* during(a.writer.commit(Entry.put("n", "k", "v")), 100)
      yield* TestClock.adjust(6000)
      assert.isTrue(a.status().readable)
      // What is in memory needs no gate.
      index.failing.set("get", damage)
      const slow = { ...index.service, reset: Effect.andThen(gate.await, index.service.reset) }
      Object.assign(index.service, { reset: slow.reset })
      gate.closeUnsafe()
      yield* Effect.flip(a.records.read("n", "k"))
      yield* TestClock.adjust(1000)
      for (const read of [a.records.read("n", "k"), a.records.page({ limit: 1 })]) {
        const error = yield* Effect.flip<unknown, unknown, never>(read)
        assert.include(String(error), "its record index is built again")
        assert.propertyVal(error, "_tag", "NotReady")
      }
      assert.isFalse(a.status().readable)
      assert.isTrue(a.status().voting)
      assert.isNull(a.status().storeFault)
      yield* during(a.writer.commit(Entry.put("n", "k", "v2"), { w: "all" }), 100)
      yield* during(b.writer.commit(Entry.put("n", "k", "v3"), { w: "all" }), 100)
      gate.openUnsafe()
      yield* TestClock.adjust(1000)
      assert.isTrue(a.status().readable)
      const found = Option.getOrThrow(yield* a.records.read("n", "k"))
      assert.strictEqual(new TextDecoder().decode(found.value), "v3")
    })
  )
})

describe("L68 an index that cannot be read for a while", () => {
  it.effect("is no fault any more once it can be, though nobody reads", () =>
    Effect.gen(function* () {
      const { follower, index, records } = yield* filled
      index.failing.set("get", eio)
      assert.strictEqual(yield* Effect.flip(records.read("n", "1")), eio)
      yield* TestClock.adjust(5000)
      assert.strictEqual(follower.fault(), eio)
      index.failing.clear()
      yield* TestClock.adjust(999)
      assert.strictEqual(follower.fault(), eio)
      yield* TestClock.adjust(1)
      assert.isUndefined(follower.fault())
      assert.isTrue(Option.isSome(yield* records.read("n", "1")))
      assert.strictEqual(index.resets(), 0)
    })
  )
})

describe("DamageIsLocal: after the index is built again over a damaged log", () => {
  /** The fourth of ten entries is damaged, and the index has to be built again. */
  const both = Effect.gen(function* () {
    const rig = yield* filled
    rig.durable.damage(rig.own, 4)
    rig.index.failing.set("get", damage)
    yield* Effect.flip(rig.records.read("n", "0"))
    yield* pass(20)
    return rig
  })

  it.effect("every page names what is damaged, by place, and has all the rest", () =>
    Effect.gen(function* () {
      const { own, records } = yield* both
      const page = yield* records.page({ limit: 5 })
      assert.deepStrictEqual(page.unreadable, [{ log: own, from: 4, to: 4 }])
      assert.deepStrictEqual(
        page.records.map(({ key }) => key),
        ["0", "1", "2", "4", "5"]
      )
      const next = yield* records.page({ limit: 5, after: Option.getOrThrow(page.next) })
      assert.deepStrictEqual(next.unreadable, [{ log: own, from: 4, to: 4 }])
      assert.deepStrictEqual(
        next.records.map(({ key }) => key),
        ["6", "7", "8", "9"]
      )
    })
  )

  it.effect("nobody is told that there is nothing newer here, of whatever key", () =>
    Effect.gen(function* () {
      const { records } = yield* both
      for (const key of ["3", "9", "never written"]) {
        const error = yield* Effect.flip(records.newest("n", key, []))
        assert.strictEqual(error.reason, "corrupt")
        assert.include(error.detail, "entries 4 to 4")
      }
      // A local read shows what is here.
      assert.isTrue(Option.isSome(yield* records.read("n", "9")))
    })
  )

  it.effect("what is mended while somebody reads is in the answer, or its absence is told", () =>
    Effect.gen(function* () {
      for (const isPage of [true, false]) {
        const asked = Latch.makeUnsafe(false)
        const { durable, index, logs, own, records } = yield* filled
        const { read } = durable
        const { get } = index.service
        const whole = Option.getOrThrow(yield* read(own, 3, 1))
        durable.damage(own, 4)
        index.failing.set("get", damage)
        yield* Effect.flip(records.read("n", "0"))
        yield* pass(20)
        // The last record of a page, or what the index says, takes its time.
        Object.assign(durable, {
          read: (...of: Parameters<typeof read>) =>
            of[1] === 9 ? Effect.andThen(asked.await, read(...of)) : read(...of)
        })
        Object.assign(index.service, {
          get: (...key: Parameters<Index["get"]>) => Effect.andThen(asked.await, get(...key))
        })
        const reading = yield* Effect.forkChild(
          isPage
            ? Effect.map(records.page(all), ({ unreadable }) => unreadable.length)
            : Effect.match(records.newest("n", "3", []), { onSuccess: () => 0, onFailure: () => 1 })
        )
        yield* pass(20)
        yield* logs.mend(whole)
        asked.openUnsafe()
        assert.strictEqual(yield* Fiber.join(reading), 1, isPage ? "a page" : "a key")
        assert.isDefined(yield* records.newest("n", "3", []))
        assert.deepStrictEqual((yield* records.page(all)).unreadable, [])
      }
    })
  )

  it.effect("what no member has hides nothing, and all that is not of it does", () =>
    Effect.gen(function* () {
      const { own, records } = yield* both
      for (const lost of [
        { from: 4, to: 4 },
        { from: 2, to: 6 }
      ]) {
        assert.isDefined(yield* records.newest("n", "9", [{ log: own, ...lost }]))
        assert.isUndefined(yield* records.newest("n", "3", [{ log: own, ...lost }]))
      }
      for (const lost of [
        { log: own, from: 5, to: 9 },
        { log: `${own}0` as typeof own, from: 4, to: 4 }
      ]) {
        assert.strictEqual((yield* Effect.flip(records.newest("n", "9", [lost]))).reason, "corrupt")
      }
    })
  )

  it.effect("and is still named after a restart on that index", () =>
    Effect.gen(function* () {
      const { durable, index, logs, own } = yield* both
      yield* logs.appendWrites([Entry.put("n", "late", "v")])
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(yield* index.memory.progress, new Map([[own, 3]]))
      const { records } = yield* open(durable, index.service)
      const page = yield* records.page(all)
      assert.deepStrictEqual(page.unreadable, [{ log: own, from: 4, to: 4 }])
      assert.lengthOf(page.records, 10)
    })
  )

  it.effect("but damage whose keys the index knows is named by them, and hides no other", () =>
    Effect.gen(function* () {
      const { durable, own, records } = yield* filled
      durable.damage(own, 4)
      const page = yield* records.page(all)
      assert.deepStrictEqual(page.unreadable, [])
      assert.deepStrictEqual(
        page.damaged.map(({ key }) => key),
        ["3"]
      )
      assert.isDefined(yield* records.newest("n", "2", []))
    })
  )
})

it.effect("an index of which the steps of a merge stop halfway covers no more than before", () =>
  Effect.gen(function* () {
    const { failing, memory: index, service } = yield* faulty
    const durable = yield* memory
    const many = Array.from({ length: 1000 }, (_, i) => Entry.put("n", `key ${(i * 7919) % 1009}`, "v"))
    let steps = 0
    const stopping: Index = {
      ...service,
      merge: (pointers, progress) => {
        if (++steps === 3) failing.set("merge", eio)
        return service.merge(pointers, progress)
      }
    }
    yield* open(durable, stopping).pipe(
      Effect.tap(({ logs }) => logs.appendWrites(many)),
      Effect.scoped
    )
    assert.deepStrictEqual(yield* index.progress, new Map())
    failing.clear()
    const { records } = yield* open(durable, service)
    assert.lengthOf((yield* records.page({ limit: 2000 })).records, 1000)
  })
)
