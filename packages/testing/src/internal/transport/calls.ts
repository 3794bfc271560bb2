/** Pushes and pulls between replicas that are well: what is asked arrives, and what is answered comes back. */
import { assert } from "@effect/vitest"
import { Entry, Limits, type LogId } from "@quorum/core"
import { EntryBatch, PeerProtocol, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Fiber, Latch, Result, Semaphore } from "effect"
import * as Conformance from "../../Conformance.ts"
import * as FaultyReplicaStore from "../../FaultyReplicaStore.ts"
import type { Wire } from "../../Wire.ts"
import { first, head, held, pieces, range, source, texts } from "../entries.ts"
import { refused } from "../refused.ts"
import { until, within } from "../waiting.ts"
import * as Rig from "./rig.ts"

const log = source(Rig.logA, 12)
const ackOf = (batch: EntryBatch.EntryBatch) => ({ replica: Rig.b, ...EntryBatch.watermark(batch) })

export const cases: ReadonlyArray<Conformance.Case<Wire>> = [
  Conformance.make(
    "an ack echoes the replica, the log, the place and the chain",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const { push } = yield* Rig.connect(yield* rig.transport())
      for (const piece of pieces(log, 5)) assert.deepStrictEqual(yield* within("the push")(push(piece)), ackOf(piece))
      assert.deepStrictEqual(yield* held(peer.store, Rig.logA), texts(log))
    })
  ),

  Conformance.make(
    "an ack comes only when the peer's store holds the entries",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const { client, push } = yield* Rig.connect(yield* rig.transport())
      const disk = Latch.makeUnsafe()
      peer.faults.inject(FaultyReplicaStore.slowDiskUntil(disk.await))
      // A server that ends when all that it began has ended would wait for it, and hide what was found.
      yield* Effect.addFinalizer(() => disk.open)
      let acked = false
      const pushed = yield* Effect.forkChild(
        Effect.tap(push(log), () => Effect.sync(() => (acked = true))),
        { startImmediately: true }
      )
      yield* until("the store was asked", () => peer.faults.count("SlowDisk") === 1)
      // Answers to what was asked later have come back: an early ack would have come too.
      for (let i = 0; i < 3; i++) yield* within("a handshake")(client.hello(Rig.hello))
      assert.isFalse(acked, "acked before it was held")
      assert.strictEqual((yield* head(peer.store, Rig.logA)).seq, 0)
      disk.openUnsafe()
      assert.deepStrictEqual(yield* within("the ack")(Fiber.join(pushed)), ackOf(log))
      assert.deepStrictEqual(yield* head(peer.store, Rig.logA), EntryBatch.watermark(log))
    })
  ),

  Conformance.make(
    "pushes arrive in the order in which they were made, as many under way as the transport allows",
    Effect.gen(function* () {
      const long = source(Rig.logA, 400)
      const arrived: Array<number> = []
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b, (handler) => ({
        ...handler,
        push: (request) => {
          arrived.push(request.batch.from)
          return handler.push(request)
        }
      }))
      const transport = yield* rig.transport()
      assert.isAtLeast(transport.maxInFlight, 1)
      const { push } = yield* Rig.connect(transport)
      const slots = yield* Semaphore.make(transport.maxInFlight)
      const batches = pieces(long, 4)
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (const batch of batches) {
        yield* slots.take(1)
        fibers.push(yield* Effect.forkChild(Effect.ensuring(push(batch), slots.release(1)), { startImmediately: true }))
      }
      assert.deepStrictEqual(yield* within("the pushes")(Effect.forEach(fibers, Fiber.join)), batches.map(ackOf))
      assert.deepStrictEqual(
        arrived,
        batches.map(({ from }) => from)
      )
      assert.deepStrictEqual(yield* held(peer.store, Rig.logA), texts(long))
    })
  ),

  Conformance.make(
    "a push that comes twice is acked twice and held once",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const { push } = yield* Rig.connect(yield* rig.transport())
      for (const to of [7, 7, 2, 12, 12]) {
        const batch = range(log, 1, to)
        assert.deepStrictEqual(yield* within("the push")(push(batch)), ackOf(batch))
      }
      assert.deepStrictEqual(yield* held(peer.store, Rig.logA), texts(log))
    })
  ),

  Conformance.make(
    "a gap is answered with the head that the peer has",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const { push } = yield* Rig.connect(yield* rig.transport())
      yield* push(range(log, 1, 3))
      const gap = yield* refused("a gap", within("the push")(push(range(log, 6, 8))))
      assert.instanceOf(gap, ReplicaStore.AppendGap)
      assert.deepStrictEqual((gap as ReplicaStore.AppendGap).head, EntryBatch.watermark(range(log, 1, 3)))
      assert.deepStrictEqual(yield* held(peer.store, Rig.logA), texts(range(log, 1, 3)))
    })
  ),

  Conformance.make(
    "a drift is answered as one, and overwrites nothing",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const { push } = yield* Rig.connect(yield* rig.transport())
      yield* push(log)
      const drift = yield* refused("a drift", within("the push")(push(source(Rig.logA, 15, "other", 5))))
      assert.instanceOf(drift, ReplicaStore.AppendDrift)
      assert.strictEqual((drift as ReplicaStore.AppendDrift).log, Rig.logA)
      assert.deepStrictEqual(yield* held(peer.store, Rig.logA), texts(log))
    })
  ),

  Conformance.make(
    "entries that were damaged, or are of somebody else's log, are answered as rejected",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const { push } = yield* Rig.connect(yield* rig.transport())
      const damaged = { ...log, bytes: log.bytes.slice() }
      damaged.bytes[damaged.bytes.length - 1]! ^= 1
      const stolen = source("c@00000000000000cc" as LogId.LogId, 2)
      for (const batch of [damaged, { ...log, count: 11 }, stolen]) {
        const rejected = yield* refused("the push", within("the push")(push(batch)))
        assert.instanceOf(rejected, PeerProtocol.PushRejected)
        assert.isNotEmpty((rejected as PeerProtocol.PushRejected).detail)
      }
      assert.deepStrictEqual(yield* peer.store.watermarks, [])
      assert.deepStrictEqual(yield* within("the push")(push(log)), ackOf(log))
    })
  ),

  Conformance.make(
    "a store that fails is answered with its reason, and is asked again by the next push",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const { push } = yield* Rig.connect(yield* rig.transport())
      for (const reason of ["disk_full", "read_only", "unavailable"] as const) {
        peer.faults.inject(FaultyReplicaStore.failedAppend(reason))
        const error = yield* refused("the push", within("the push")(push(log)))
        assert.instanceOf(error, ReplicaStore.StoreError)
        assert.strictEqual((error as ReplicaStore.StoreError).reason, reason)
      }
      assert.strictEqual(peer.faults.count("FailedAppend"), 3)
      assert.deepStrictEqual(yield* within("the push")(push(log)), ackOf(log))
      peer.faults.inject(FaultyReplicaStore.failedFsync(true))
      const next = source(Rig.logA, 13)
      const uncertain = yield* refused("the push", within("the push")(push(next)))
      assert.instanceOf(uncertain, ReplicaStore.StoreError)
      assert.strictEqual((uncertain as ReplicaStore.StoreError).reason, "uncertain")
    })
  ),

  Conformance.make(
    "a pull gives any log, page after page, and nothing after its end",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.replica(Rig.b)
      const other = source("c@00000000000000cc" as LogId.LogId, 30)
      yield* peer.store.append(other)
      yield* peer.start
      const { pull } = yield* Rig.connect(yield* rig.transport())
      const found: Array<string> = []
      while (found.length < other.count) {
        const { batch } = yield* within("the pull")(pull(other.log, found.length, 200))
        assert(batch !== null, "there is more")
        assert.isTrue(Result.isSuccess(EntryBatch.validate(batch)))
        found.push(...texts(batch))
      }
      assert.deepStrictEqual(found, texts(other))
      assert.deepStrictEqual(yield* within("the pull")(pull(other.log, 30)), { batch: null })
      assert.deepStrictEqual(yield* within("the pull")(pull(Rig.logA, 0)), { batch: null })
    })
  ),

  Conformance.make(
    "the largest write and the largest batch that the limits allow arrive, and are pulled back",
    Effect.gen(function* () {
      const { keyBytes, namespaceBytes, valueBytes } = Limits.defaults
      const value = Uint8Array.from({ length: valueBytes }, (_, i) => i * 7)
      const largest = Entry.put("n".repeat(namespaceBytes), "k".repeat(keyBytes), value)
      const one = first(Rig.logA, [largest])
      const small = Entry.put("ns", "k", value.subarray(0, 1000))
      const size = Entry.headerBytes + Entry.recordHeaderBytes + 3 + small.value.length
      const count = Math.floor(PeerProtocol.maxBatchBytes / size)
      const many = EntryBatch.encode(
        EntryBatch.watermark(one),
        Array.from({ length: count }, () => small),
        { wallTime: 1, logical: 0 },
        2
      ).batch
      const rig = yield* Rig.make
      yield* rig.serve(Rig.b)
      const { pull, push } = yield* Rig.connect(yield* rig.transport())
      for (const batch of [one, many]) {
        assert.deepStrictEqual(yield* within("the push")(push(batch)), ackOf(batch))
        const { batch: back } = yield* within("the pull")(pull(Rig.logA, batch.from - 1))
        assert(back !== null)
        assert.deepStrictEqual(EntryBatch.watermark(back), EntryBatch.watermark(batch))
        assert.isTrue(Result.isSuccess(EntryBatch.validate(back)))
      }
    })
  )
]
