import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Latch, Option, Result, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import type * as LocalRecords from "../src/record/LocalRecords.ts"
import type { Record } from "../src/record/Record.ts"
import { Entry, HybridLogicalClock, LogId, WriteId, ReplicaId } from "../src/index.ts"
import { Chain, EntryBatch, RecordIndex, type RecordKey, ReplicaStore, Watermark } from "../src/adapter.ts"
import { memory, open } from "./support/reads.ts"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const logOf = (replica: string) => LogId.make(ReplicaId.make(replica), "0000000000000001" as LogId.Incarnation)

const fresh = Effect.gen(function* () {
  const store = yield* memory
  const index = yield* RecordIndex.makeMemory
  return { store, index, ...(yield* open(store, index)) }
})

/** A batch that continues a log, with the given wall time as its clock. */
const batch = (head: Watermark.Watermark, wallTime: number, ...writes: ReadonlyArray<Entry.Write>) =>
  EntryBatch.encode(head, writes, HybridLogicalClock.zero, wallTime).batch

const dump = Effect.fnUntraced(function* (records: LocalRecords.LocalRecords["Service"], limit = 3) {
  const all: Array<string> = []
  let after: { namespace: string; key: string } | undefined
  do {
    const page: {
      records: ReadonlyArray<Record>
      next: Option.Option<{ namespace: string; key: string }>
    } = yield* records.page({ limit, ...(after === undefined ? {} : { after }) })
    for (const record of page.records) {
      all.push(`${record.namespace}/${record.key}=${text(record.value)} ${record.writeId}`)
    }
    after = Option.getOrUndefined(page.next)
  } while (after !== undefined)
  return all
})

describe("Records", () => {
  it.effect("a read sees everything that was appended, before and after the index has it", () =>
    Effect.gen(function* () {
      const { index, logs, records } = yield* fresh
      yield* logs.appendWrites([Entry.put("n", "k", "1")])
      const before = yield* records.read("n", "k")
      assert.isTrue(Option.isNone(yield* index.get("n", "k")))
      yield* TestClock.adjust(5000)
      assert.isTrue(Option.isSome(yield* index.get("n", "k")))
      assert.deepStrictEqual(yield* records.read("n", "k"), before)
      assert.strictEqual(text(Option.getOrThrow(before).value), "1")
    })
  )

  it.effect("an orderly stop leaves everything in the index, also when a merge was under way", () =>
    Effect.gen(function* () {
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
      const index = yield* RecordIndex.makeMemory
      let stuck = true
      yield* Effect.gen(function* () {
        const merge: typeof index.merge = (...step) => (stuck ? Effect.never : index.merge(...step))
        const { logs } = yield* open(store, { ...index, merge })
        yield* logs.appendWrites([Entry.put("n", "first", "1")])
        yield* TestClock.adjust(5000)
        yield* logs.appendWrites([Entry.put("n", "second", "2")])
        stuck = false
      }).pipe(Effect.scoped)
      assert.isTrue(Option.isSome(yield* index.get("n", "first")))
      assert.isTrue(Option.isSome(yield* index.get("n", "second")))
    })
  )

  for (const [what, as] of [
    ["bytes", (bytes: Uint8Array) => bytes],
    ["a `Buffer`", (bytes: Uint8Array) => Buffer.from(bytes)]
  ] as const) {
    it.effect(
      `a value is its reader's, and what is done with it is seen by nobody else, where the store has ${what}`,
      () =>
        Effect.gen(function* () {
          const { logs, records } = yield* fresh
          const own = batch(Watermark.none(logOf("b")), 1, Entry.put("n", "k", "1"))
          yield* logs.append({ ...own, bytes: as(own.bytes) })
          Option.getOrThrow(yield* records.read("n", "k")).value.fill(0)
          ;(yield* records.page({ limit: 1 })).records[0]!.value.fill(0)
          assert.strictEqual(text(Option.getOrThrow(yield* records.read("n", "k")).value), "1")
        })
    )
  }

  it.effect("a deleted key reads as nothing and is left out of pages", () =>
    Effect.gen(function* () {
      const { logs, records } = yield* fresh
      yield* logs.appendWrites([Entry.put("n", "gone", "1"), Entry.put("n", "kept", "2")])
      yield* TestClock.adjust(5000)
      yield* logs.appendWrites([Entry.remove("n", "gone")])
      assert.isTrue(Option.isNone(yield* records.read("n", "gone")))
      assert.strictEqual((yield* dump(records)).length, 1)
      yield* TestClock.adjust(5000)
      assert.isTrue(Option.isNone(yield* records.read("n", "gone")))
      assert.strictEqual((yield* dump(records)).length, 1)
    })
  )

  it.effect("L19 a write that arrives after a newer delete does not bring the key back", () =>
    Effect.gen(function* () {
      const { logs, records } = yield* fresh
      yield* logs.append(batch(Watermark.none(logOf("b")), 20, Entry.remove("n", "k")))
      yield* TestClock.adjust(5000)
      yield* logs.append(batch(Watermark.none(logOf("c")), 10, Entry.put("n", "k", "old")))
      assert.isTrue(Option.isNone(yield* records.read("n", "k")))
      yield* TestClock.adjust(5000)
      assert.isTrue(Option.isNone(yield* records.read("n", "k")))
    })
  )

  it.effect("L34 a write that follows one of a fast clock comes after it, though the clock here is behind", () =>
    Effect.gen(function* () {
      const { logs, records } = yield* fresh
      yield* logs.append(batch(Watermark.none(logOf("b")), 1_000_000, Entry.put("n", "k", "fast")))
      yield* logs.appendWrites([Entry.put("n", "k", "after")])
      assert.strictEqual(text(Option.getOrThrow(yield* records.read("n", "k")).value), "after")
    })
  )

  it.effect("ReadYourWrites: a read with a write id waits until that write is here, and not longer than it may", () =>
    Effect.gen(function* () {
      const { logs, records } = yield* fresh
      const write = batch(Watermark.none(logOf("b")), 1, Entry.put("n", "k", "1"))
      const atLeast = WriteId.make(logOf("b"), 1, Chain.check(write.chain))
      const late = yield* Effect.forkChild(Effect.result(records.read("n", "k", { atLeast, withinMillis: 100 })))
      yield* TestClock.adjust(100)
      const result = yield* Fiber.join(late)
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "NotYetVisible")

      const waiting = yield* Effect.forkChild(records.read("n", "k", { atLeast }))
      yield* TestClock.adjust(100)
      assert.isUndefined(waiting.pollUnsafe())
      yield* logs.append(write)
      assert.strictEqual(text(Option.getOrThrow(yield* Fiber.join(waiting)).value), "1")
    })
  )

  it.effect(
    "ReadYourWrites: a read that waits for a write ends with its replica, and not as if the write had come",
    () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { logs, records } = yield* Scope.provide(fresh, scope)
        const write = batch(Watermark.none(logOf("b")), 1, Entry.put("n", "k", "1"))
        const atLeast = WriteId.make(logOf("b"), 1, Chain.check(write.chain))
        const read = Effect.result(records.read("n", "k", { atLeast, withinMillis: Number.POSITIVE_INFINITY }))
        const waiting = yield* Effect.forkChild(read)
        yield* TestClock.adjust(100)
        assert.isUndefined(waiting.pollUnsafe())
        yield* Scope.close(scope, Exit.void)
        // An append that was under way is done in spite of it, and no index follows it any more.
        yield* logs.append(write)
        for (const result of [yield* Fiber.join(waiting), yield* read]) {
          assert.isTrue(Result.isFailure(result) && result.failure._tag === "NotYetVisible")
        }
      })
  )

  it.effect("a read that waits for what is no id of a write is rejected at once, and names it", () =>
    Effect.gen(function* () {
      const { logs, records } = yield* fresh
      const { batch: appended } = yield* logs.appendWrites([Entry.put("n", "k", "1")])
      const { own } = logs
      const check = Chain.check(appended.chain)
      for (const id of [
        "x:0",
        `${own}:1`,
        `${own}:0.5ad3c01e`,
        `${own}:01.5ad3c01e`,
        `${own}:1.5ad3c01`,
        `${own}:0`,
        ":NaN",
        "",
        own,
        `${own}:`,
        `${own}:01`,
        `${own}:+1`,
        `${own}:1.0`,
        `${own}:1e0`,
        `${own}:0x1`,
        `${own}:1 `,
        ` ${own}:1`,
        `${own}:1\n`,
        `${own}:-1`,
        `${own.toUpperCase()}:1`,
        `${own}:10000000000000000`,
        1,
        null,
        {},
        Object.create(null)
      ]) {
        const error = yield* Effect.flip(records.read("n", "k", { atLeast: id as WriteId.WriteId }))
        assert(error._tag === "ReadRejected", String(error._tag))
        assert.strictEqual(error.field, "atLeast")
        if (typeof id === "string") assert.include(error.message, JSON.stringify(id))
      }
      assert.isTrue(Option.isSome(yield* records.read("n", "k", { atLeast: WriteId.make(own, 1, check) })))
      for (const withinMillis of [-1, Number.NaN, "1", null] as ReadonlyArray<number>) {
        const error = yield* Effect.flip(records.read("n", "k", { atLeast: WriteId.make(own, 2, check), withinMillis }))
        assert.deepInclude(error, { _tag: "ReadRejected", field: "withinMillis" })
      }
    })
  )

  it.effect("a page of no keys is rejected: it would say that there are no more", () =>
    Effect.gen(function* () {
      const { logs, records } = yield* fresh
      yield* logs.appendWrites([Entry.put("n", "k", "1")])
      for (const limit of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, "1", undefined] as ReadonlyArray<number>) {
        const error = yield* Effect.flip(records.page({ limit }))
        assert.deepInclude(error, { _tag: "ReadRejected", field: "limit" }, String(limit))
      }
      for (const after of [{}, { namespace: "n", key: "\ud800" }, { namespace: 1, key: "k" }]) {
        const error = yield* Effect.flip(records.page({ limit: 1, after: after as RecordKey.RecordKey }))
        assert.deepInclude(error, { _tag: "ReadRejected", field: "after" })
      }
      assert.strictEqual((yield* records.page({ limit: 1 })).records.length, 1)
    })
  )

  it.effect("L52 a read with the id of another write than the one at its place says so, and never answers for it", () =>
    Effect.gen(function* () {
      const { logs, records } = yield* fresh
      const write = batch(Watermark.none(logOf("b")), 1, Entry.put("n", "k", "1"))
      yield* logs.append(write)
      const held = WriteId.make(logOf("b"), 1, Chain.check(write.chain))
      const atLeast = WriteId.make(logOf("b"), 1, Chain.check(write.chain) ^ 1)
      const error = yield* Effect.flip(records.read("n", "k", { atLeast }))
      assert.deepInclude(error, { _tag: "WriteReplaced", writeId: atLeast, held })
      assert.isTrue(Option.isSome(yield* records.read("n", "k", { atLeast: held })))
    })
  )

  it.effect("the records of one entry are all there, each newest by the version of the entry", () =>
    Effect.gen(function* () {
      const { logs, records } = yield* fresh
      yield* logs.appendWrites([Entry.put("n", "x", "old"), Entry.put("n", "y", "old")])
      yield* logs.appendWrites([
        [Entry.put("n", "x", "new", { contentType: "text/plain" }), Entry.remove("n", "y"), Entry.put("m", "z", "new")]
      ])
      const x = Option.getOrThrow(yield* records.read("n", "x"))
      const z = Option.getOrThrow(yield* records.read("m", "z"))
      assert.deepStrictEqual(
        [text(x.value), x.contentType, text(z.value), z.contentType],
        ["new", "text/plain", "new", undefined]
      )
      assert.strictEqual(x.writeId, z.writeId)
      assert.isTrue(Option.isNone(yield* records.read("n", "y")))
      assert.deepStrictEqual(
        (yield* records.page({ limit: 9 })).records.map(({ key }) => key),
        ["z", "x"]
      )
    })
  )

  it.effect("an index that is behind, or empty, is brought up to the logs before the first read", () =>
    Effect.gen(function* () {
      const { index, logs, records, store } = yield* fresh
      yield* logs.appendWrites([Entry.put("n", "x", "1")])
      yield* TestClock.adjust(5000)
      yield* logs.appendWrites([Entry.put("n", "y", "2"), Entry.put("n", "x", "3")])
      const expected = yield* dump(records)
      // As another process would find it: in this one it is taken.
      for (const found of [index, yield* RecordIndex.makeMemory]) {
        assert.deepStrictEqual(yield* dump((yield* open({ ...store }, found)).records), expected)
      }
    })
  )

  it.effect("an index that cannot be written is tried again, and reads do not suffer", () =>
    Effect.gen(function* () {
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
      const index = yield* RecordIndex.makeMemory
      let broken = true
      const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "full" })
      const { logs, records } = yield* open(store, {
        ...index,
        merge: (pointers, progress) => (broken ? Effect.fail(full) : index.merge(pointers, progress))
      })
      yield* logs.appendWrites([Entry.put("n", "k", "1")])
      yield* TestClock.adjust(5000)
      assert.isTrue(Option.isSome(yield* records.read("n", "k")))
      broken = false
      yield* TestClock.adjust(5000)
      assert.isTrue(Option.isSome(yield* index.get("n", "k")))
    })
  )

  it.effect("the index follows five seconds after the first write, and not before", () =>
    Effect.gen(function* () {
      const { index, logs } = yield* fresh
      const has = (key: string) => Effect.map(index.get("n", key), Option.isSome)
      yield* logs.appendWrites([Entry.put("n", "first", "1")])
      yield* TestClock.adjust(4000)
      yield* logs.appendWrites([Entry.put("n", "second", "2")])
      yield* TestClock.adjust(999)
      assert.deepStrictEqual([yield* has("first"), yield* has("second")], [false, false])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([yield* has("first"), yield* has("second")], [true, true])
      assert.deepStrictEqual(yield* index.progress, new Map([[logs.own, 2]]))
      yield* logs.appendWrites([Entry.put("n", "third", "3")])
      yield* TestClock.adjust(4999)
      assert.isFalse(yield* has("third"))
      yield* TestClock.adjust(1)
      assert.isTrue(yield* has("third"))
    })
  )

  it.effect("the index follows at once when many keys wait, in small sorted steps", () =>
    Effect.gen(function* () {
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
      const index = yield* RecordIndex.makeMemory
      const done = yield* Deferred.make<void>()
      const steps: Array<{ readonly keys: ReadonlyArray<string>; readonly progress: RecordIndex.Progress }> = []
      const { logs } = yield* open(store, {
        ...index,
        merge: (pointers, progress) =>
          Effect.suspend(() => {
            steps.push({ keys: pointers.map(({ key }) => key), progress })
            return progress.size > 0 ? Deferred.succeed(done, undefined) : Effect.void
          })
      })
      const keys = Array.from({ length: 131_072 }, (_, i) => `k${(i * 7919) % 131_072}`)
      const append = (keys: ReadonlyArray<string>) =>
        Effect.andThen(logs.appendWrites(keys.map((key) => Entry.put("n", key, ""))), TestClock.adjust(0))
      yield* append(keys.slice(1))
      // Keys count, and not writes.
      yield* append(keys.slice(1, 1000))
      assert.lengthOf(steps, 0)
      yield* append(keys.slice(0, 1))
      yield* Deferred.await(done)
      assert.isTrue(steps.every((step) => step.keys.length <= 128))
      // Joined, for a difference that can be read.
      assert.strictEqual(steps.flatMap((step) => step.keys).join(), [...keys].sort().join())
      // An index that dies between two steps must not believe that it covers the logs.
      assert.isTrue(steps.slice(0, -1).every((step) => step.progress.size === 0))
      assert.deepStrictEqual(steps[steps.length - 1]!.progress, new Map([[logs.own, 131_072 + 999]]))
    })
  )

  it.effect("a page and a read see what is in the index, what is being merged and what came since", () =>
    Effect.gen(function* () {
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
      const index = yield* RecordIndex.makeMemory
      const gate = yield* Latch.make(true)
      const { logs, records } = yield* open(store, {
        ...index,
        merge: (pointers, progress) => Effect.andThen(gate.await, index.merge(pointers, progress))
      })
      const puts = (...pairs: ReadonlyArray<readonly [key: string, value: string]>) =>
        logs.appendWrites(pairs.map(([key, value]) => Entry.put("n", key, value)))
      yield* puts(["a", "1"], ["b", "1"], ["c", "1"], ["e", "1"])
      yield* TestClock.adjust(5000)
      yield* gate.close
      yield* puts(["b", "2"], ["c", "2"], ["d", "2"])
      yield* TestClock.adjust(5000)
      yield* puts(["c", "3"], ["a0", "3"], ["f", "3"])
      yield* logs.appendWrites([Entry.remove("n", "e")])
      const expected = ["a=1", "a0=3", "b=2", "c=3", "d=2", "f=3"]
      const seen = (limit: number) =>
        Effect.map(dump(records, limit), (all) => all.map((record) => record.slice(2, record.indexOf(" "))))
      for (const limit of [1, 2, 3, 100]) assert.deepStrictEqual(yield* seen(limit), expected)
      for (const record of expected) {
        const [key, value] = record.split("=")
        assert.strictEqual(text(Option.getOrThrow(yield* records.read("n", key!)).value), value)
      }
      assert.isTrue(Option.isNone(yield* records.read("n", "e")))
      yield* gate.open
      yield* TestClock.adjust(10_000)
      for (const limit of [1, 100]) assert.deepStrictEqual(yield* seen(limit), expected)
    })
  )

  const Writes = Schema.Array(
    Schema.Struct({
      log: Schema.Literals(["a", "b", "c"]),
      key: Schema.Literals(["k1", "k2", "k3", "\u{10000}", "\uffee"]),
      value: Schema.NullOr(Schema.String),
      wallTime: Schema.Literals([1, 2, 3])
    })
  )
  const Order = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })))

  it.effect.prop(
    "OrderFree: the records are a function of the entries, whatever order the logs arrive in",
    [Writes, Order],
    ([writes, order]) =>
      Effect.gen(function* () {
        const batches = new Map<string, Array<EntryBatch.EntryBatch>>()
        const clocks = new Map<string, HybridLogicalClock.HybridLogicalClock>()
        for (const { key, log, value, wallTime } of writes) {
          const list = batches.get(log) ?? []
          const head = list.length === 0 ? Watermark.none(logOf(log)) : EntryBatch.watermark(list[list.length - 1]!)
          const write = value === null ? Entry.remove("n", key) : Entry.put("n", key, value)
          const encoded = EntryBatch.encode(head, [write], clocks.get(log) ?? HybridLogicalClock.zero, wallTime)
          clocks.set(log, encoded.clock)
          batches.set(log, [...list, encoded.batch])
        }
        const dumps: Array<ReadonlyArray<string>> = []
        for (const picks of [[], order]) {
          const { logs, records } = yield* fresh
          const queues = Array.from(batches.values(), (list) => [...list])
          for (let i = 0; queues.some((queue) => queue.length > 0); i++) {
            const open = queues.filter((queue) => queue.length > 0)
            const pick = picks[i % Math.max(1, picks.length)] ?? 0
            yield* logs.append(open[pick % open.length]!.shift()!)
            if (pick % 3 === 0) yield* TestClock.adjust(6000)
          }
          dumps.push(yield* dump(records, 2))
        }
        assert.deepStrictEqual(dumps[1], dumps[0])
      }).pipe(Effect.scoped)
  )
})
