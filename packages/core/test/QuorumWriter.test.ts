import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { Entry, LogId, WriteId, type QuorumError, type QuorumWriter, type Receipt } from "../src/index.ts"
import { type EntryBatch, PeerProtocol, ReplicaStore } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const put = (key: string, value = "v", namespace = "notes") => Entry.put(namespace, key, value)

const exitOf = <A, E>(effect: Effect.Effect<A, E>, millis: number) => during(Effect.result(effect), millis)

const notMet = (result: Result.Result<Receipt.Receipt, QuorumWriter.CommitError>): QuorumError.QuorumNotMet => {
  if (Result.isSuccess(result)) throw new Error(`committed: ${JSON.stringify(result.success)}`)
  if (result.failure._tag !== "QuorumNotMet") throw result.failure
  return result.failure
}

const running = Effect.fnUntraced(function* (ids: ReadonlyArray<string>, w: number) {
  const cluster = yield* Cluster.make(ids, w)
  const replicas: Array<Cluster.Running> = []
  for (const id of ids) replicas.push(yield* cluster.start(id))
  yield* TestClock.adjust(1000)
  return { cluster, replicas }
})

describe("QuorumWriter", () => {
  it.effect("commits a write when a majority of three holds it", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const a = yield* cluster.start("a")
      const b = yield* cluster.start("b")
      const receipt = yield* during(a.writer.commit(put("k")), 3000)
      assert.deepStrictEqual<ReadonlyArray<string>>(
        receipt.acked.map(({ replica }) => replica),
        ["a", "b"]
      )
      assert.strictEqual(receipt.writeId, yield* Cluster.idAt(a.logs, 1))
      const record = yield* b.records.read("notes", "k", { atLeast: receipt.writeId })
      assert.strictEqual(text(Option.getOrThrow(record).value), "v")
    })
  )

  it.effect("writers that wake together share an append, again and again", () =>
    Effect.gen(function* () {
      const { replicas } = yield* running(["a", "b", "c"], 2)
      const [a] = replicas
      const counts: Array<number> = []
      a!.logs.onAppend(({ count, log }) => void (log === a!.logs.own && counts.push(count)))
      const writer = Effect.andThen(a!.writer.commit(put("k")), a!.writer.commit(put("k")))
      yield* during(
        Effect.all(
          Array.from({ length: 20 }, () => writer),
          { concurrency: "unbounded", discard: true }
        ),
        3000
      )
      assert.deepStrictEqual(counts, [20, 20])
    })
  )

  it.effect("fails with quorum not met at the deadline, and resumes the same write when a peer is back", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const a = yield* cluster.start("a")
      // Until then the others might still answer what they hold of a's log.
      yield* TestClock.adjust(1900)
      const fiber = yield* Effect.forkChild(Effect.result(a.writer.commit(put("k"))))
      yield* TestClock.adjust(2000)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const error = notMet(yield* Fiber.join(fiber))
      assert.deepInclude(
        { ...error },
        { got: 1, needed: 2, reason: "unreachable", writeId: yield* Cluster.idAt(a.logs, 1) }
      )
      assert.strictEqual(error.verdicts["b" as never]?._tag, "refused")
      assert.strictEqual(a.logs.head(a.logs.own).seq, 1)

      yield* cluster.start("b")
      const receipt = yield* during(a.writer.resume(error.writeId), 2000)
      assert.strictEqual(receipt.writeId, error.writeId)
      assert.deepStrictEqual<ReadonlyArray<string>>(
        receipt.acked.map(({ replica }) => replica),
        ["a", "b"]
      )
    })
  )

  it.effect("says of a peer that is connected and silent that it is lagging, and by how much", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      cluster.faults.set("a>c", (client) => ({ ...client, push: () => Effect.never }))
      const policy = Cluster.policy(3, 2, { ackTimeout: 500 })
      const [a] = [yield* cluster.start("a", { policy }), yield* cluster.start("b"), yield* cluster.start("c")]
      yield* TestClock.adjust(1000)
      yield* during(a.writer.commit(put("first")), 10)
      const error = notMet(yield* exitOf(a.writer.commit(put("second"), { w: "all" }), 501))
      assert.strictEqual(error.reason, "timeout")
      assert.deepStrictEqual(error.verdicts, {
        [a.id]: { _tag: "acked" },
        [Cluster.id("b")]: { _tag: "acked" },
        [Cluster.id("c")]: { _tag: "lagging", by: 2 }
      })
    })
  )

  it.effect("fails before writing when too few members were alive for longer than a write would wait", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const a = yield* cluster.start("a")
      yield* TestClock.adjust(3000)
      const result = yield* Effect.result(a.writer.commit(put("k")))
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "QuorumUnavailable")
      assert.strictEqual(a.logs.head(a.logs.own).seq, 0)
    })
  )

  it.effect("L10 reports a failed local append as such, and sends nothing anywhere", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const store = yield* cluster.storeOf("a")
      const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "no space left" })
      cluster.stores.set("a", { ...store, append: () => Effect.fail(full) })
      const a = yield* cluster.start("a")
      const b = yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      const result = yield* exitOf(a.writer.commit(put("k")), 5000)
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "LocalWriteFailed")
      assert.include(Result.isFailure(result) ? result.failure.message : "", "no space left")
      assert.strictEqual(b.logs.head(a.logs.own).seq, 0)
    })
  )

  it.effect("L20 the replicas beyond the quorum get the write too", () =>
    Effect.gen(function* () {
      const { cluster, replicas } = yield* running(["a", "b", "c"], 2)
      const [a, , c] = replicas as [Cluster.Running, Cluster.Running, Cluster.Running]
      cluster.cut("a", "c")
      const receipt = yield* during(a.writer.commit(put("k")), 10)
      assert.deepStrictEqual<ReadonlyArray<string>>(
        receipt.acked.map(({ replica }) => replica),
        ["a", "b"]
      )
      assert.strictEqual(c.logs.head(a.logs.own).seq, 0)
      cluster.heal()
      yield* TestClock.adjust(10_000)
      assert.strictEqual(c.logs.head(a.logs.own).seq, 1)
      const status = yield* a.writer.status(receipt.writeId)
      assert.deepStrictEqual<ReadonlyArray<string>>(status.holders, ["a", "b", "c"])
    })
  )

  it.effect("L21 a peer that was away is caught up from the log, also after the writer restarted", () =>
    Effect.gen(function* () {
      const { cluster, replicas } = yield* running(["a", "b", "c"], 2)
      const [a, , c] = replicas as [Cluster.Running, Cluster.Running, Cluster.Running]
      yield* c.stop
      for (let i = 0; i < 20; i++) yield* during(a.writer.commit(put(`k${i}`)), 10)
      yield* during(a.stop, 5000)
      const again = yield* cluster.start("a")
      const back = yield* cluster.start("c")
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(back.logs.head(again.logs.own), again.logs.head(again.logs.own))
      assert.strictEqual(back.logs.head(again.logs.own).seq, 20)
    })
  )

  it.effect("a write acked by two survives the death of its owner: the third fetches it from the second", () =>
    Effect.gen(function* () {
      const { cluster, replicas } = yield* running(["a", "b", "c"], 2)
      const [a, b, c] = replicas as [Cluster.Running, Cluster.Running, Cluster.Running]
      cluster.cut("a", "c")
      cluster.cut("c", "a")
      const receipt = yield* during(a.writer.commit(put("k", "kept")), 10)
      yield* during(a.stop, 5000)
      yield* TestClock.adjust(5000)
      const record = yield* c.records.read("notes", "k", { atLeast: receipt.writeId })
      assert.strictEqual(text(Option.getOrThrow(record).value), "kept")
      // Neither survivor owns the log, and both can say who holds the write.
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual<ReadonlyArray<string>>((yield* b.writer.status(receipt.writeId)).holders, ["b", "c"])
    })
  )

  it.effect("writes that come together share an append and a push", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const store = yield* cluster.storeOf("a")
      const batches: Array<EntryBatch.EntryBatch> = []
      cluster.stores.set("a", {
        ...store,
        append: (batch) => Effect.tap(store.append(batch), () => Effect.sync(() => void batches.push(batch)))
      })
      const a = yield* cluster.start("a")
      yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      const writes = Array.from({ length: 500 }, (_, i) => a.writer.commit(put(`k${i}`)))
      const receipts = yield* during(Effect.all(writes, { concurrency: "unbounded" }), 3000)
      assert.strictEqual(new Set(receipts.map(({ writeId }) => writeId)).size, 500)
      assert.isAtMost(batches.length, 5)
    })
  )

  it.effect("an interrupted write that was not appended yet is never written", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      cluster.faults.set("a>b", (client) => ({ ...client, hello: () => Effect.never }))
      // The writer does not append before every peer was tried, and b does not answer.
      yield* cluster.start("b")
      const a = yield* cluster.start("a")
      const fiber = yield* Effect.forkChild(a.writer.commit(put("gone")))
      yield* TestClock.adjust(10)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust(10_000)
      assert.strictEqual(a.logs.head(a.logs.own).seq, 0)
    })
  )

  it.effect("takes a w per write, and refuses one that does not fit the replica set", () =>
    Effect.gen(function* () {
      const { replicas } = yield* running(["a", "b", "c"], 2)
      const a = replicas[0]!
      const all = yield* during(a.writer.commit(put("k"), { w: 3 }), 10)
      assert.deepStrictEqual<ReadonlyArray<string>>(
        all.acked.map(({ replica }) => replica),
        ["a", "b", "c"]
      )
      const result = yield* Effect.result(a.writer.commit(put("k"), { w: 5 }))
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "InvalidPolicy")
    })
  )

  it.effect("a receipt can be asked to reach further", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      for (const name of ["b", "c"]) yield* cluster.start(name)
      const a = yield* cluster.start("a", { policy: Cluster.policy(3, 2, { ackTimeout: 9000 }) })
      yield* TestClock.adjust(1000)
      cluster.cut("a", "c")
      const receipt = yield* during(a.writer.commit(put("k")), 10)
      cluster.heal()
      const further = yield* during(a.writer.resume(receipt.writeId, { w: 3 }), 9000)
      assert.deepStrictEqual<ReadonlyArray<string>>(further.acked.map(({ replica }) => replica).sort(), ["a", "b", "c"])
    })
  )

  it.effect("a policy that does not fit the replica set builds no writer, be it that of a namespace", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const policy = Cluster.policy(4, 2)
      for (const options of [{ policy }, { namespaces: { notes: policy } }]) {
        const exit = yield* Effect.exit(cluster.start("a", options))
        assert.isTrue(Exit.isFailure(exit) && JSON.stringify(exit.cause).includes("n is 4"))
      }
    })
  )

  for (const [of, options] of [
    ["all writes", { policy: Cluster.policy(3, 9) }],
    ["a namespace", { namespaces: { notes: Cluster.policy(3, 9) } }]
  ] as const) {
    it.effect(`L6 a clamped w of ${of} is said in the log when a writer is built`, () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b", "c"], 2)
        const said: Array<string> = []
        const logger = Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])
        yield* cluster.start("a", { ...options, logger })
        assert.isTrue(said.some((line) => line.includes("w = 9 was asked for, and w = 3 of 3 is used")))
      })
    )
  }

  it.effect("rejects what it cannot store, naming the field, and writes nothing", () =>
    Effect.gen(function* () {
      const { replicas } = yield* running(["a", "b", "c"], 2)
      const a = replicas[0]!
      const bad: ReadonlyArray<readonly [Entry.Write, string, QuorumError.WriteRejected["reason"]]> = [
        [put(""), "key", "invalid"],
        [put("k\u0000"), "key", "invalid"],
        [put("\ud800"), "key", "invalid"],
        [put("k", "v", ""), "namespace", "invalid"],
        [put("k".repeat(1025)), "key", "too_large"],
        [put("k", "v", "ü".repeat(128)), "namespace", "too_large"],
        [put("k", "x".repeat(1024 * 1024 + 1)), "value", "too_large"]
      ]
      for (const [write, field, reason] of bad) {
        const result = yield* Effect.result(a.writer.commit(write))
        assert.isTrue(Result.isFailure(result) && result.failure._tag === "WriteRejected")
        if (Result.isFailure(result)) assert.deepInclude({ ...result.failure }, { field, reason })
      }
      assert.strictEqual(a.logs.head(a.logs.own).seq, 0)
    })
  )

  it.effect("a closing writer rejects new writes and finishes those under way", () =>
    Effect.gen(function* () {
      const { cluster, replicas } = yield* running(["a", "b", "c"], 2)
      const a = replicas[0]!
      cluster.cut("a", "b")
      cluster.cut("a", "c")
      const inFlight = yield* Effect.forkChild(Effect.result(a.writer.commit(put("k"))))
      yield* TestClock.adjust(10)
      const closing = yield* Effect.forkChild(a.stop)
      yield* TestClock.adjust(10)
      for (const options of [{}, { idempotencyKey: "one" }]) {
        const late = yield* Effect.result(a.writer.commit(put("late"), options))
        assert.isTrue(Result.isFailure(late) && late.failure._tag === "ReplicaClosing")
      }
      yield* TestClock.adjust(4000)
      notMet(yield* Fiber.join(inFlight))
      yield* Fiber.join(closing)
    })
  )

  it.effect("knows nothing of a write that it does not hold", () =>
    Effect.gen(function* () {
      const { replicas } = yield* running(["a", "b", "c"], 2)
      const a = replicas[0]!
      const result = yield* Effect.result(a.writer.status(WriteId.make(a.logs.own, 7, 0)))
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "WriteUnknown")
    })
  )
})

describe("acks", () => {
  const forged = (change: (ack: PeerProtocol.Ack) => PeerProtocol.Ack) =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      cluster.faults.set("a>b", (client) => ({
        ...client,
        push: (request) => Effect.map(client.push(request), change)
      }))
      const a = yield* cluster.start("a")
      // What b says about itself in a handshake is not under test here.
      const b = yield* cluster.start("b")
      cluster.faults.set("a>b", (client) => ({
        ...client,
        hello: (request) => Effect.map(client.hello(request), (welcome) => ({ ...welcome, vector: [] })),
        push: (request) => Effect.map(client.push(request), change)
      }))
      yield* TestClock.adjust(1000)
      return { a, b, error: notMet(yield* exitOf(a.writer.commit(put("k")), 3000)) }
    })

  it.effect("L12 an ack with another chain is a drift and is not counted", () =>
    Effect.gen(function* () {
      const { a, error } = yield* forged((ack) => ({ ...ack, chain: "00000000000000ff" as never }))
      assert.deepInclude({ ...error }, { got: 1, reason: "id_drift" })
      assert.isTrue(a.peers.get(Cluster.id("b")).drifted.has(a.logs.own))
    })
  )

  it.effect("L11 an ack of another replica, log or place is not counted", () =>
    Effect.gen(function* () {
      for (const change of [
        (ack: PeerProtocol.Ack): PeerProtocol.Ack => ({ ...ack, replica: Cluster.id("c") }),
        (ack: PeerProtocol.Ack): PeerProtocol.Ack => ({
          ...ack,
          log: LogId.make(Cluster.id("b"), "0".repeat(16) as never)
        }),
        (ack: PeerProtocol.Ack): PeerProtocol.Ack => ({ ...ack, seq: ack.seq + 1 })
      ]) {
        const { error } = yield* forged(change)
        assert.strictEqual(error.got, 1)
      }
    })
  )

  it.effect("L22 a peer that rejects an entry is not asked again and again, and the write fails at once", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      let pushes = 0
      cluster.faults.set("a>b", (client) => ({
        ...client,
        push: () => {
          pushes++
          return Effect.fail(new PeerProtocol.PushRejected({ detail: "no" }))
        }
      }))
      const a = yield* cluster.start("a")
      yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      const error = notMet(yield* exitOf(a.writer.commit(put("k")), 10))
      assert.strictEqual(error.verdicts["b" as never]?._tag, "rejected")
      // A later write learns it without asking.
      const later = yield* Effect.result(a.writer.commit(put("k")))
      assert.isTrue(Result.isFailure(later) && later.failure._tag === "QuorumUnavailable")
      yield* TestClock.adjust(10_000)
      assert.strictEqual(pushes, 1)
    })
  )
})
