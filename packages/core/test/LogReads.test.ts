/** What is read out of the logs, and what of them is in memory. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { HybridLogicalClock, type LogId, ReplicaId } from "../src/index.ts"
import { EntryBatch, RecordIndex, ReplicaStore, Watermark } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { open, peerLog, put } from "./support/logs.ts"
import { memory } from "./support/reads.ts"
import { text } from "./support/text.ts"
import { during } from "./support/time.ts"

const mebibyte = 1024 * 1024

/** A store that says yes and keeps nothing, so that only the services can hold what was appended. */
const forgetful: ReplicaStore.ReplicaStore["Service"] = {
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

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** How many of these objects are still reachable. A reference that was made in this turn of the event loop counts. */
const alive = (references: ReadonlyArray<WeakRef<object>>) =>
  Effect.promise(async () => {
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    return references.filter((reference) => reference.deref() !== undefined).length
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
      assert.strictEqual(text(yield* a.records.read("notes", "k")), "kept")
      const b = yield* cluster.start("b")
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(b.logs.head(a.logs.own), a.logs.head(a.logs.own))
      assert.strictEqual(text(yield* b.records.read("notes", "k")), "kept")
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
