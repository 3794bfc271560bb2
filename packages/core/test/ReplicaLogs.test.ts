import * as ReplicaClock from "../src/log/ReplicaClock.ts"
import * as ReplicaLogs from "../src/log/ReplicaLogs.ts"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Entry, HybridLogicalClock, LogId, ReplicaId, ReplicaSet } from "../src/index.ts"
import { EntryBatch, RecordIndex, ReplicaStore, Watermark } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import * as Reads from "./support/reads.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const mebibyte = 1024 * 1024
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const put = (key: string, value: Uint8Array | string = "v") => Entry.put("notes", key, value)
const peerLog = LogId.make(ReplicaId.make("b"), "0000000000000001" as LogId.Incarnation)

/** The batches of one log, an entry each. */
const batches = (log: LogId.LogId, ...writes: ReadonlyArray<Entry.Write>): ReadonlyArray<EntryBatch.EntryBatch> => {
  let head = Watermark.none(log)
  return writes.map((write, i) => {
    const { batch } = EntryBatch.encode(head, [write], HybridLogicalClock.zero, i + 1)
    head = EntryBatch.watermark(batch)
    return batch
  })
}

const memory = ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })

/** A store that says yes and keeps nothing, so that only the services can hold what was appended. */
const forgetful: Store = {
  identity: { cluster: "test", replica: ReplicaId.make("a"), incarnation: "0000000000000002" as LogId.Incarnation },
  doubt: "none",
  note: () => Effect.succeedNone,
  setNotes: () => Effect.void,
  renew: () => Effect.die("not renewed"),
  append: (batch) => Effect.succeed(EntryBatch.watermark(batch)),
  read: () => Effect.succeedNone,
  chainAt: () => Effect.succeedNone,
  watermarks: Effect.succeed([]),
  damaged: () => [],
  check: (_, after) => Effect.succeed(after),
  replace: () => Effect.void,
  space: Effect.succeed({ taken: 0, free: 0 }),
  cut: (log) => Effect.succeed(Watermark.none(log))
}

const open = Effect.fnUntraced(function* (store: Store, index?: RecordIndex.RecordIndex["Service"]) {
  return yield* Reads.open(store, index ?? (yield* RecordIndex.makeMemory))
})

const during = <A, E>(effect: Effect.Effect<A, E>, millis: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust(millis)
    return yield* Fiber.join(fiber)
  })

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** How many of these objects are still reachable. A reference that was made in this turn of the event loop counts. */
const alive = (references: ReadonlyArray<WeakRef<object>>) =>
  Effect.promise(async () => {
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    return references.filter((reference) => reference.deref() !== undefined).length
  })

describe("ReplicaLogs", () => {
  it.effect("L60 announces nothing that the store knew to be damaged when it was opened", () =>
    Effect.gen(function* () {
      const store = yield* memory
      for (const batch of batches(peerLog, put("1"), put("2"), put("3"))) yield* store.append(batch)
      const damage = { log: peerLog, from: 2, to: 2 }
      const logs = yield* ReplicaLogs.make.pipe(
        Effect.provideServiceEffect(ReplicaClock.ReplicaClock, ReplicaClock.make),
        Effect.provideService(ReplicaStore.ReplicaStore, { ...store, damaged: () => [damage] }),
        Effect.provideService(ReplicaSet.ReplicaSet, { cluster: "test", self: ReplicaId.make("a"), peers: [] })
      )
      assert.deepStrictEqual(
        logs.vector().map(({ seq }) => seq),
        [1]
      )
    })
  )

  it.effect("L68 a log that could not be read for a while is no fault once it can be, though nobody reads", () =>
    Effect.gen(function* () {
      const store = yield* memory
      for (const batch of batches(peerLog, put("1"))) yield* store.append(batch)
      const eio = new ReplicaStore.StoreError({ reason: "unavailable", detail: "EIO" })
      let failing = false
      const { logs } = yield* open({
        ...store,
        read: (...args) => Effect.suspend(() => (failing ? Effect.fail(eio) : store.read(...args))),
        chainAt: (...args) => Effect.suspend(() => (failing ? Effect.fail(eio) : store.chainAt(...args)))
      })
      for (const read of [logs.read(peerLog, 0, 1), logs.chainAt(peerLog, 0)]) {
        failing = true
        yield* Effect.flip<unknown, ReplicaStore.StoreError, never>(read)
        yield* TestClock.adjust(5000)
        assert.strictEqual(logs.fault(), eio)
        failing = false
        yield* TestClock.adjust(999)
        assert.strictEqual(logs.fault(), eio)
        yield* TestClock.adjust(1)
        assert.isUndefined(logs.fault())
      }
    })
  )

  it.effect("L60 damage that is found later moves what is announced back, and never on", () =>
    Effect.gen(function* () {
      const store = yield* memory
      for (const batch of batches(peerLog, put("1"), put("2"), put("3"), put("4"))) yield* store.append(batch)
      let found: ReadonlyArray<ReplicaStore.DamagedRange> = []
      const { logs } = yield* open({ ...store, damaged: () => found })
      const announced = () => logs.vector().map(({ seq }) => seq)
      for (const [seq, held] of [
        [3, 2],
        [4, 2],
        [2, 1]
      ] as const) {
        found = [...found, { log: peerLog, from: seq, to: seq }]
        yield* logs.chainAt(peerLog, 1)
        assert.deepStrictEqual(announced(), [held])
      }
    })
  )

  it.effect("L60 damage that is found while what was found before is looked up is announced as held no more", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const otherLog = LogId.make(ReplicaId.make("c"), "0000000000000001" as LogId.Incarnation)
      for (const log of [peerLog, otherLog]) {
        for (const batch of batches(log, put("1"), put("2"), put("3"))) yield* store.append(batch)
      }
      let found: ReadonlyArray<ReplicaStore.DamagedRange> = []
      let isSlow = false
      const { logs } = yield* open({
        ...store,
        damaged: () => found,
        chainAt: (...asked) => Effect.suspend(() => Effect.delay(store.chainAt(...asked), isSlow ? 100 : 0))
      })
      for (const log of [peerLog, otherLog]) {
        found = [...found, { log, from: 2, to: 2 }]
        isSlow = log === peerLog
        yield* Effect.forkChild(logs.read(log, 0, 1))
        yield* TestClock.adjust(1)
      }
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(
        logs.vector().map(({ seq }) => seq),
        [1, 1]
      )
    })
  )

  it.effect("L68 a read that failed is a fault of the store until one succeeds, and so is an append", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const [first, second] = batches(peerLog, put("1"), put("2"))
      const fault = new ReplicaStore.StoreError({ reason: "unavailable", detail: "EIO" })
      let works = true
      const { logs } = yield* open({
        ...store,
        append: (batch) => Effect.suspend(() => (works ? store.append(batch) : Effect.fail(fault))),
        read: (...asked) => Effect.suspend(() => (works ? store.read(...asked) : Effect.fail(fault)))
      })
      yield* logs.append(first!)
      const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [logs.read(peerLog, 0, 1), logs.append(second!)]
      for (const call of calls) {
        works = false
        yield* Effect.flip(call)
        assert.strictEqual(logs.fault()?.detail, "EIO")
        works = true
        yield* call
        assert.isUndefined(logs.fault())
      }
    })
  )

  it.effect("an append that is durable is announced, though its caller was interrupted", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const acked = yield* Deferred.make<void>()
      const { logs } = yield* open({
        ...store,
        append: (batch) => Effect.tap(store.append(batch), () => Deferred.await(acked))
      })
      const seen: Array<number> = []
      logs.onAppend((batch) => seen.push(batch.from))
      const [first, second] = batches(peerLog, put("1"), put("2"))
      const caller = yield* Effect.forkChild(logs.append(first!))
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* store.watermarks, [EntryBatch.watermark(first!)])
      const interrupted = yield* Effect.forkChild(Fiber.interrupt(caller))
      yield* TestClock.adjust(1)
      yield* Deferred.succeed(acked, undefined)
      yield* Fiber.join(interrupted)
      assert.deepStrictEqual(logs.head(peerLog), EntryBatch.watermark(first!))
      yield* logs.append(second!)
      assert.deepStrictEqual(seen, [1, 2])
    })
  )

  it.effect("a caller that is interrupted while it waits for another append appends nothing", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const acked = yield* Deferred.make<void>()
      const { logs } = yield* open({
        ...store,
        append: (batch) => Effect.tap(store.append(batch), () => Deferred.await(acked))
      })
      const [first, second] = batches(peerLog, put("1"), put("2"))
      const appending = yield* Effect.forkChild(logs.append(first!))
      const waiting = yield* Effect.forkChild(logs.append(second!))
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(waiting)
      yield* Deferred.succeed(acked, undefined)
      yield* Fiber.join(appending)
      assert.deepStrictEqual(yield* store.watermarks, [EntryBatch.watermark(first!)])
    })
  )

  it.effect("appends to one log are announced in order, though the store is slower with the first", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const { logs } = yield* open({
        ...store,
        append: (batch) => Effect.tap(store.append(batch), ({ seq }) => Effect.sleep(seq === 1 ? 20 : 0))
      })
      const seen: Array<number> = []
      logs.onAppend((batch) => EntryBatch.forEach(batch, (seq) => seen.push(seq)))
      const all = batches(peerLog, put("1"), put("2"), put("3"))
      // The third comes twice: from its owner, and from a peer that had it.
      yield* during(
        Effect.all(
          [...all, all[2]!].map((batch) => logs.append(batch)),
          { concurrency: "unbounded" }
        ),
        100
      )
      assert.deepStrictEqual(seen, [1, 2, 3])
      assert.deepStrictEqual(logs.head(peerLog), EntryBatch.watermark(all[2]!))
    })
  )

  it.effect("an append to one log does not wait for one to another", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const acked = yield* Deferred.make<void>()
      const { logs } = yield* open({
        ...store,
        append: (batch) =>
          Effect.tap(store.append(batch), () => (batch.log === peerLog ? Deferred.await(acked) : Effect.void))
      })
      const other = LogId.make(ReplicaId.make("c"), "0000000000000001" as LogId.Incarnation)
      const slow = yield* Effect.forkChild(logs.append(batches(peerLog, put("k"))[0]!))
      yield* during(logs.append(batches(other, put("k"))[0]!), 1)
      assert.deepStrictEqual([logs.head(other).seq, logs.head(peerLog).seq], [1, 0])
      yield* Deferred.succeed(acked, undefined)
      yield* Fiber.join(slow)
    })
  )

  it.effect("OneEntryPerPlace: a store of another replica or another replica set builds nothing", () =>
    Effect.gen(function* () {
      for (const [cluster, replica] of [
        ["test", "b"],
        ["other", "a"]
      ] as const) {
        const store = yield* ReplicaStore.makeMemory({ cluster, replica: ReplicaId.make(replica) })
        const result = yield* Effect.result(open(store))
        if (Result.isSuccess(result)) throw new Error(`opened a store of ${replica} of ${cluster}`)
        assert.deepInclude({ ...result.failure }, { _tag: "StoreError", reason: "wrong_identity" })
        assert.include(result.failure.message, `belongs to ${replica} of ${cluster}`)
      }
    })
  )
})

describe("the newest own entries in memory", () => {
  it.effect("Bounded: the newest are read without the store, and older ones out of it", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const asked: Array<number> = []
      const { logs } = yield* open({
        ...store,
        read: (log, after, maxBytes) => {
          asked.push(after)
          return store.read(log, after, maxBytes)
        }
      })
      for (let i = 0; i < 12; i++) yield* logs.appendWrites([put(`k${i}`, new Uint8Array(mebibyte))])
      for (let after = 0; after < 12; after++) {
        const batch = Option.getOrThrow(yield* logs.read(logs.own, after, mebibyte))
        assert.strictEqual(batch.from, after + 1)
        assert.isTrue(Result.isSuccess(EntryBatch.validate(batch)))
      }
      // Seven entries of a little more than a mebibyte fit into eight.
      assert.deepStrictEqual(asked, [0, 1, 2, 3, 4])
    })
  )

  it.effect("L25 a read of the newest holds the bytes that were asked for, up to the last of them", () =>
    Effect.gen(function* () {
      const { logs } = yield* open(yield* memory)
      const sizes: Array<number> = []
      for (let i = 0; i < 3; i++) {
        const { batch } = yield* logs.appendWrites([put(`k${i}`)])
        sizes.push(batch.bytes.length)
      }
      const two = sizes[0]! + sizes[1]!
      for (const [maxBytes, count] of [
        [two - 1, 1],
        [two, 2],
        [two + sizes[2]! - 1, 2],
        [two + sizes[2]!, 3]
      ] as const) {
        assert.strictEqual(Option.getOrThrow(yield* logs.read(logs.own, 0, maxBytes)).count, count)
      }
    })
  )

  it.effect("Bounded: older entries are let go of", () =>
    Effect.gen(function* () {
      const { logs } = yield* open(forgetful)
      const references: Array<WeakRef<object>> = []
      const append = Effect.map(logs.appendWrites([put("k", new Uint8Array(mebibyte / 2))]), ({ batch }) => {
        references.push(new WeakRef(batch.bytes.buffer))
      })
      for (let i = 0; i < 40; i++) yield* append
      assert.isAtMost(yield* alive(references), 18)
    })
  )

  it.effect("L21 a peer that is so far behind that they do not reach it is caught up from the store", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const [a, b, c] = [yield* cluster.start("a"), yield* cluster.start("b"), yield* cluster.start("c")]
      yield* TestClock.adjust(1000)
      for (const [from, to] of ["ac", "ca", "bc", "cb"] as const) cluster.cut(from!, to!)
      const value = new Uint8Array(mebibyte - 64)
      for (let i = 0; i < 11; i++) yield* during(a.writer.commit(put(`k${i}`, value)), 10)
      assert.deepStrictEqual(
        [b, c].map(({ logs }) => logs.head(a.logs.own).seq),
        [11, 0]
      )
      cluster.heal()
      // Only its owner can bring it.
      yield* during(b.stop, 4000)
      yield* TestClock.adjust(4000)
      assert.deepStrictEqual(c.logs.head(a.logs.own), a.logs.head(a.logs.own))
    })
  )
})

describe("reads of the logs", () => {
  it.effect("changing the bytes that a read returned changes nothing in the log", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const a = yield* cluster.start("a")
      yield* during(a.writer.commit(put("k", "kept")), 3000)
      const read = Effect.map(a.records.read("notes", "k"), Option.getOrThrow)
      const page = Effect.map(a.records.page({ limit: 10 }), ({ records }) => records[0]!)
      for (const record of [yield* read, yield* page]) {
        record.value.fill(0)
        // Not even what the value is a view of.
        new Uint8Array(record.value.buffer).fill(0)
      }
      assert.strictEqual(text((yield* read).value), "kept")
      const b = yield* cluster.start("b")
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(b.logs.head(a.logs.own), a.logs.head(a.logs.own))
      assert.strictEqual(text(Option.getOrThrow(yield* b.records.read("notes", "k")).value), "kept")
    })
  )

  it.effect("a page holds a record that is merged into the index while the page scans it", () =>
    Effect.gen(function* () {
      const index = yield* RecordIndex.makeMemory
      const { logs, records } = yield* open(yield* memory, {
        ...index,
        scan: (options) => Effect.tap(index.scan(options), () => Effect.sleep(6000))
      })
      yield* logs.appendWrites([put("k")])
      const page = yield* during(records.page({ limit: 10 }), 6000)
      assert.isTrue(Option.isSome(yield* index.get("notes", "k")))
      assert.deepStrictEqual(
        page.records.map(({ key }) => key),
        ["k"]
      )
    })
  )

  it.effect("Bounded: while the index cannot be written its pointers are kept, and not the entries", () =>
    Effect.gen(function* () {
      const index = yield* RecordIndex.makeMemory
      const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "no space left" })
      const { logs } = yield* open(forgetful, { ...index, merge: () => Effect.fail(full) })
      const references: Array<WeakRef<object>> = []
      let head = Watermark.none(peerLog)
      const append = (i: number) =>
        Effect.suspend(() => {
          const write = put(`k${i}`, new Uint8Array(mebibyte / 4))
          const { batch } = EntryBatch.encode(head, [write], HybridLogicalClock.zero, i)
          head = EntryBatch.watermark(batch)
          references.push(new WeakRef(batch.bytes.buffer))
          return logs.append(batch)
        })
      for (let i = 0; i < 40; i++) {
        yield* append(i)
        yield* TestClock.adjust(100)
      }
      assert.isAtMost(yield* alive(references), 6)
    })
  )
})
