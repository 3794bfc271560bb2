/** What a write is told when something goes wrong: no more, and no less, than is known. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { EntryBatch, PeerProtocol, ReplicaStore, Watermark } from "../src/adapter.ts"
import { type ReplicaEvents, Entry, HybridLogicalClock, LogId, type QuorumWriter, WriteId } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

const put = (key: string, value: Uint8Array | string = "v") => Entry.put("notes", key, value)

const errorOf = (commit: Effect.Effect<unknown, QuorumWriter.CommitError>) => Effect.flip(commit)

const uncertain = new ReplicaStore.StoreError({ reason: "uncertain", detail: "the fsync failed" })
const untried = new ReplicaStore.StoreError({ reason: "unavailable", detail: "an earlier append is uncertain" })

describe("an append that is uncertain", () => {
  it.effect("gives the write no id, and the place may be another's after a restart", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const store = yield* cluster.storeOf("a")
      cluster.stores.set("a", { ...store, append: () => Effect.fail(uncertain) })
      const a = yield* cluster.start("a")
      const error = yield* errorOf(a.writer.commit(put("x")))
      assert.strictEqual(error._tag, "WriteUncertain")
      assert.notProperty(error, "writeId")
      assert.strictEqual((yield* errorOf(a.writer.commit(put("y"))))._tag, "LocalWriteFailed")
      yield* during(a.stop, 4000)
      cluster.stores.set("a", store)
      const again = yield* cluster.start("a")
      const { writeId } = yield* during(again.writer.commit(put("y")), 10)
      assert.strictEqual(writeId, yield* Cluster.idAt(again.logs, 1))
    })
  )

  it.effect("of a peer's push leaves this replica's own writes untried, and they are told so", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const store = yield* cluster.storeOf("a")
      let broken = false
      cluster.stores.set("a", {
        ...store,
        append: (batch) => {
          if (broken) return Effect.fail(untried)
          if (LogId.owner(batch.log) === "a") return store.append(batch)
          broken = true
          return Effect.fail(uncertain)
        }
      })
      const a = yield* cluster.start("a")
      const b = yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      yield* during(b.writer.commit(put("from b")), 100)
      yield* TestClock.adjust(100)
      assert.isTrue(broken)
      const error = yield* errorOf(a.writer.commit(put("own")))
      assert.strictEqual(error._tag, "LocalWriteFailed")
      assert.include(error.message, "an earlier append is uncertain")
      assert.strictEqual(a.logs.fault()?.reason, "unavailable")
    })
  )
})

describe("L70 what no entry can hold", () => {
  const throwing = {
    get namespace(): string {
      throw new Error("a getter of the caller's")
    }
  }
  class Longer extends Uint8Array {
    override get length(): number {
      return 1000
    }
  }
  const detached = new Uint8Array(8)
  structuredClone(detached.buffer, { transfer: [detached.buffer] })
  const write = (change: object) => ({ kind: "put", namespace: "n", key: "k", value: new Uint8Array(1), ...change })
  const odd: ReadonlyArray<readonly [string, unknown, string]> = [
    ["an object as value", write({ value: { a: 1 } }), "value"],
    ["no value", write({ value: undefined }), "value"],
    ["text as value", write({ value: "text" }), "value"],
    ["numbers of two bytes, which would lose one", write({ value: Uint16Array.of(300) }), "value"],
    ["numbers of eight bytes", write({ value: Float64Array.of(1) }), "value"],
    ["a view", write({ value: new DataView(new ArrayBuffer(4)) }), "value"],
    ["a buffer", write({ value: new ArrayBuffer(4) }), "value"],
    ["an array", write({ value: [1, 2] }), "value"],
    ["something that says it were bytes", write({ value: { [Symbol.toStringTag]: "Uint8Array", length: 1 } }), "value"],
    ["a detached buffer", write({ value: detached }), "value"],
    ["a number as key", write({ key: 1 }), "key"],
    ["no key", write({ key: undefined }), "key"],
    ["an object as namespace", write({ namespace: {} }), "namespace"],
    ["a lone surrogate", write({ key: "\ud800" }), "key"],
    ["another kind", write({ kind: "patch" }), "kind"],
    ["nothing", undefined, "write"],
    ["null", null, "write"],
    ["a getter that throws", throwing, "write"],
    ["a proxy that throws", new Proxy({}, { get: () => Reflect.apply(Reflect.get, undefined, []) }), "write"]
  ]

  it.effect("is rejected by its field, and the replica goes on", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("abc", 2)
      for (const [what, wrong, field] of odd) {
        const error = yield* errorOf(a.writer.commit(wrong as Entry.Write))
        assert(error._tag === "WriteRejected", `${what}: ${error._tag}`)
        assert.deepStrictEqual([error.reason, error.field], ["invalid", field], what)
        assert.include(error.message, "nothing was written")
      }
      for (const w of [0, 4, 1.5, Number.NaN, "2", null, {}, { allBut: 3 }, { allBut: "1" }, Symbol("w"), 2n]) {
        const error = yield* errorOf(a.writer.commit(put("k"), { w: w as number }))
        assert.strictEqual(error._tag, "InvalidPolicy", String(w))
      }
      assert.strictEqual(a.logs.head(a.logs.own).seq, 0)
      yield* during(a.writer.commit(put("k")), 10)
    })
  )

  it.effect("bytes are what they are, whatever class they are of and whatever it says of itself", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      for (const value of [Buffer.from("abc"), Longer.of(97, 98, 99), new Uint8Array(new SharedArrayBuffer(3))]) {
        yield* during(a.writer.commit({ kind: "put", namespace: "n", key: "k", value }), 10)
        const record = Option.getOrThrow(yield* a.records.read("n", "k"))
        assert.strictEqual(record.value.length, 3)
      }
    })
  )

  it.effect("a value that becomes shorter before it is appended fails alone, and not its batch", () =>
    Effect.gen(function* () {
      const { cluster } = yield* Cluster.running("ab", 1, "b")
      const held = Latch.makeUnsafe(false)
      cluster.faults.set("a>b", (client) => ({ ...client, hello: (hello) => held.whenOpen(client.hello(hello)) }))
      const a = yield* cluster.start("a")
      const buffer = new ArrayBuffer(8, { maxByteLength: 8 })
      const shrinking = yield* Effect.forkChild(errorOf(a.writer.commit(put("odd", new Uint8Array(buffer)))))
      const sound = yield* Effect.forkChild(a.writer.commit(put("sound")))
      yield* TestClock.adjust(1)
      buffer.resize(2)
      held.openUnsafe()
      yield* TestClock.adjust(2000)
      const error = yield* Fiber.join(shrinking)
      assert.strictEqual(error._tag, "WriteRejected")
      assert.strictEqual((yield* Fiber.join(sound)).writeId, yield* Cluster.idAt(a.logs, 1))
    })
  )
})

describe("a name that is no text", () => {
  it.effect("names no record, and not the record of another name", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      yield* during(a.writer.commit(Entry.put("n\ufffd", "k\ufffd", "v")), 10)
      assert.isTrue(Option.isSome(yield* a.records.read("n\ufffd", "k\ufffd")))
      for (const [namespace, key] of [
        ["n\ud800", "k\ufffd"],
        ["n\ufffd", "k\udc00"]
      ] as const) {
        assert.isTrue(Option.isNone(yield* a.records.read(namespace, key)))
      }
    })
  )
})

describe("what went wrong on the way to a peer", () => {
  it("L68 is said to the bottom, wherever a library keeps it", () => {
    const refused = new Error("connect ECONNREFUSED 127.0.0.1:1")
    const said = (cause: unknown) => PeerProtocol.explain(new Error("An error occurred during Open", { cause }))
    assert.include(said(refused), "ECONNREFUSED")
    assert.include(said({ type: "error", error: refused }), "ECONNREFUSED")
    assert.include(said(new AggregateError([refused])), "ECONNREFUSED")
    assert.strictEqual(said(undefined), "An error occurred during Open")
  })
})

describe("entries of a peer", () => {
  it("L38 are refused for what a client's would be refused for", () => {
    const log = LogId.make(Cluster.id("b"), LogId.Incarnation.make("00000000000000bb"))
    const valid = (namespace: string, key: string) =>
      Result.isSuccess(
        EntryBatch.validateForeign(
          EntryBatch.encode(Watermark.none(log), [Entry.put(namespace, key, "v")], HybridLogicalClock.zero, 1).batch
        )
      )
    assert.isTrue(valid("n", "k"))
    assert.isTrue(valid("\uFEFFn", "€😀"))
    for (const [namespace, key] of [
      ["", "k"],
      ["n", ""],
      ["n\0", "k"],
      ["n", "a\0b"],
      ["n", "é\0"]
    ] as const) {
      assert.isFalse(valid(namespace, key), JSON.stringify([namespace, key]))
    }
    const { batch } = EntryBatch.encode(Watermark.none(log), [Entry.put("n", "é", "v")], HybridLogicalClock.zero, 1)
    const at = batch.bytes.lastIndexOf(0xa9)
    batch.bytes[at] = 0x41
    assert.isTrue(Result.isFailure(EntryBatch.validateForeign(batch)))
  })

  it("L63 has no more records in an entry than a write may have", () => {
    const log = LogId.make(Cluster.id("b"), LogId.Incarnation.make("00000000000000bb"))
    const valid = (count: number) => {
      const [first, ...rest] = Array.from({ length: count }, (_, i) => Entry.put("n", `k${i}`, ""))
      const entry = EntryBatch.encode(Watermark.none(log), [[first!, ...rest]], HybridLogicalClock.zero, 1)
      return Result.isSuccess(EntryBatch.validateForeign(entry.batch))
    }
    assert.isTrue(valid(Entry.maxRecords))
    assert.isFalse(valid(Entry.maxRecords + 1))
  })
})

describe("a group of writes", () => {
  it.effect("counts a watermark that covers its last write, and none that is one short of it", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("abc", 3)
      assert.isDefined(cluster)
      for (const short of [1, 0]) {
        cluster.cut("a", "c")
        const writes = yield* Effect.forkChild(
          Effect.all([a.writer.commit(put("1")), a.writer.commit(put("2"))], { concurrency: 2 })
        )
        yield* TestClock.adjust(10)
        const { chain, log, seq } = a.logs.head(a.logs.own)
        const watermark = { log, seq: seq - short, chain }
        const incarnation = a.peers.get(Cluster.id("c")).incarnation!
        const monotonicMillis = 1020 + 10 * seq
        a.peers.report({ _tag: "Ack", how: "push", peer: Cluster.id("c"), incarnation, watermark, monotonicMillis })
        yield* TestClock.adjust(1)
        assert.strictEqual(writes.pollUnsafe() !== undefined, short === 0)
        cluster.heal()
        yield* TestClock.adjust(5000)
        yield* Fiber.await(writes)
      }
    })
  )

  it.effect("L9 a frozen peer makes a timeout, also once its connection has timed out and the other peer refuses", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("abc", 2, "ab")
      // It may append by now, although it has not reached c.
      yield* TestClock.adjust(1500)
      cluster.cut("a", "b")
      for (const key of ["1", "2"]) {
        const error = yield* during(errorOf(a.writer.commit(put(key))), 2100)
        assert(error._tag === "QuorumNotMet")
        assert.deepStrictEqual([error.reason, error.verdicts[Cluster.id("c")]?._tag], ["timeout", "refused"])
        // The push of the first write went without an answer for so long that the connection ended.
        assert.strictEqual(a.peers.get(Cluster.id("b")).link._tag, "Down")
      }
    })
  )

  it.effect("frozen peers make a timeout and not an unreachable: they are connected", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("abc", 2)
      cluster.cut("a", "b")
      cluster.cut("a", "c")
      const write = yield* Effect.forkChild(errorOf(a.writer.commit(put("k"))))
      yield* TestClock.adjust(2001)
      const error = yield* Fiber.join(write)
      assert(error._tag === "QuorumNotMet")
      assert.strictEqual(error.reason, "timeout")
    })
  )
})

describe("damage and failures of the own disk", () => {
  it.effect("L60 what is damaged does not count as held, and a write of it fails as a store error", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
      cluster.stores.set("a", store)
      const first = yield* cluster.start("a")
      for (const key of ["1", "2", "3"]) yield* during(first.writer.commit(put(key)), 10)
      yield* during(first.stop, 4000)
      const { own } = first.logs
      store.damage(own, 2)
      const a = yield* cluster.start("a")
      yield* TestClock.adjust(10)
      const id = WriteId.make(own, 2, 0)
      for (const call of [a.writer.status(id), a.writer.resume(id)]) {
        assert.strictEqual((yield* Effect.flip<unknown, { readonly _tag: string }, never>(call))._tag, "StoreError")
      }
      assert.deepStrictEqual(a.logs.damaged(), [{ log: own, from: 2, to: 2 }])
      assert.strictEqual(a.logs.vector()[0]!.seq, 1)
      assert.strictEqual(a.logs.head(own).seq, 3)
      // What can be read is: the entries on both sides.
      assert.isTrue(Option.isSome(yield* a.records.read("notes", "1")))
      assert.isTrue(Option.isSome(yield* a.records.read("notes", "3")))
      // Nobody has what is damaged, so nothing that follows it there could ever be brought to another replica.
      assert.notStrictEqual(a.logs.own, own)
      assert.strictEqual((yield* during(a.writer.commit(put("4")), 10)).writeId, yield* Cluster.idAt(a.logs, 1))
    })
  )

  it.effect("L60 damage that the start finds, at the end of a log, stops no start and is not announced as held", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
      cluster.stores.set("a", store)
      const first = yield* cluster.start("a")
      for (const key of ["1", "2", "3"]) yield* during(first.writer.commit(put(key)), 10)
      yield* during(first.stop, 4000)
      store.damage(first.logs.own, 3)
      const a = yield* cluster.start("a")
      assert.strictEqual(a.logs.vector()[0]!.seq, 2)
      yield* TestClock.adjust(10)
      assert.isTrue(Option.isSome(yield* a.records.read("notes", "2")))
      yield* during(a.writer.commit(put("4")), 10)
    })
  )

  it.effect("a read failure of the own disk is no fault of the peer's: its link stays, and pushes go on later", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const store = yield* cluster.storeOf("a")
      let failing = false
      const fault = new ReplicaStore.StoreError({ reason: "unavailable", detail: "EIO" })
      cluster.stores.set("a", {
        ...store,
        read: (...args) => (failing ? Effect.fail(fault) : store.read(...args))
      })
      const a = yield* cluster.start("a")
      for (const key of ["1", "2"]) yield* during(a.writer.commit(put(key)), 2000)
      yield* during(a.stop, 4000)
      const again = yield* cluster.start("a")
      failing = true
      const b = yield* cluster.start("b")
      yield* TestClock.adjust(3000)
      assert.strictEqual(again.peers.get(Cluster.id("b")).link._tag, "Up")
      assert.strictEqual(again.logs.fault()?.detail, "EIO")
      assert.strictEqual(b.logs.head(again.logs.own).seq, 0)
      failing = false
      yield* TestClock.adjust(3000)
      assert.strictEqual(b.logs.head(again.logs.own).seq, 2)
      assert.isUndefined(again.logs.fault())
    })
  )
})

describe("ReplicaEvents", () => {
  it.effect("tells what a commit is made of, and a listener that throws does no harm", () =>
    Effect.gen(function* () {
      const { cluster } = yield* Cluster.running("abc", 2, "bc")
      const a = yield* cluster.start("a")
      yield* TestClock.adjust(1000)
      const told: Array<ReplicaEvents.ReplicaEvent> = []
      a.events.listen(() => {
        throw new Error("a listener of the caller's")
      })
      const stop = a.events.listen((event) => void told.push(event))
      yield* during(a.writer.commit(put("k")), 100)
      const tags = new Set(told.map(({ _tag }) => _tag))
      for (const tag of ["Appended", "Acked", "PeerAnswered", "CommitsEnded"] as const)
        assert.isTrue(tags.has(tag), tag)
      const ended = told.find((event) => event._tag === "CommitsEnded")
      assert.deepInclude(ended as object, { outcome: "committed", writes: 1 })
      const answers = told.filter((event) => event._tag === "PeerAnswered")
      assert.deepStrictEqual(
        answers.map(({ answer }) => answer),
        ["ack", "ack"]
      )
      yield* Effect.flip(a.writer.commit(put("")))
      assert.deepInclude(told.at(-1) as object, { _tag: "CommitsEnded", outcome: "write_rejected", writes: 1 })
      stop()
      const before = told.length
      yield* during(a.writer.commit(put("k")), 100)
      assert.strictEqual(told.length, before)
    })
  )
})
