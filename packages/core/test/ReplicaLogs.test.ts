/** What a replica appends to its logs, what it announces of them, and what it says of a store that fails. */
import * as ReplicaClock from "../src/log/ReplicaClock.ts"
import * as ReplicaLogs from "../src/log/ReplicaLogs.ts"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import { LogId, ReplicaId, ReplicaSet } from "../src/index.ts"
import { EntryBatch, ReplicaStore } from "../src/adapter.ts"
import { batches, open, peerLog, put } from "./support/logs.ts"
import { memory } from "./support/reads.ts"
import { during } from "./support/time.ts"

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
