/** Reads that see every write that was acknowledged before they began, and that no later read goes back behind. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { ClientSession, Entry, WriteId } from "../src/index.ts"
import { PeerMethods, PeerProtocol, ReplicaStore } from "../src/adapter.ts"
import { ask, behind, put, soon, withoutPushes } from "./support/asks.ts"
import * as Cluster from "./support/cluster.ts"
import { apart, copyOf, together } from "./support/copies.ts"
import { during, pass } from "./support/time.ts"

describe("AtomicRegister: a linearizable read", () => {
  it.effect("sees what was committed at another replica, or that nothing was", () =>
    Effect.gen(function* () {
      const { a, c } = yield* behind
      assert.isUndefined(yield* soon(ask(c, "linearizable")))
      yield* during(a.writer.commit(put("1")), 10)
      assert.strictEqual(yield* soon(ask(c, "linearizable")), "1")
      yield* during(a.writer.commit(Entry.remove("n", "k")), 10)
      assert.isUndefined(yield* soon(ask(c, "linearizable")))
    })
  )

  it.effect("answers a write that only one replica holds when a majority holds it, and every later read sees it", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      withoutPushes(cluster, "a", "b")
      withoutPushes(cluster, "a", "c")
      const [a, b, c] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(1000)
      yield* Effect.forkScoped(Effect.ignore(a.writer.commit(put("1"))))
      yield* TestClock.adjust(10)
      assert.strictEqual(b.logs.head(a.logs.own).seq + c.logs.head(a.logs.own).seq, 0)
      assert.strictEqual(yield* soon(ask(a, "linearizable")), "1")
      assert.isAbove(b.logs.head(a.logs.own).seq + c.logs.head(a.logs.own).seq, 0)
      yield* during(a.stop, 5000)
      assert.strictEqual(yield* soon(ask(b, "linearizable")), "1")
      assert.strictEqual(yield* soon(ask(c, "linearizable")), "1")
    })
  )

  it.effect("is not answered by one replica of three, and says who was silent and who refused", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      yield* during(a.writer.commit(put("1")), 10)
      yield* during(c.stop, 5000)
      cluster.cut("a", "b")
      const reading = yield* Effect.forkChild(Effect.flip(ask(a, "linearizable", { withinMillis: 700 })))
      yield* TestClock.adjust(699)
      assert.isUndefined(reading.pollUnsafe())
      yield* TestClock.adjust(1)
      const late = yield* Fiber.join(reading)
      assert(late._tag === "ReadUnavailable")
      assert.deepInclude({ ...late }, { answered: 1, needed: 2, reason: "timeout" })
      assert.deepStrictEqual(
        Object.entries(late.verdicts).map(([id, { _tag }]) => `${id} ${_tag}`),
        ["a acked", "b timed_out", "c refused"]
      )
      yield* TestClock.adjust(5000)
      const error = yield* Effect.flip(ask(a, "linearizable"))
      assert.deepInclude({ ...error }, { _tag: "ReadUnavailable", answered: 1, needed: 2, reason: "unreachable" })
      assert.strictEqual(yield* ask(b, "local"), "1")
    })
  )

  it.effect("L55 is not answered by a replica that learns meanwhile that it lacks what it acknowledged", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const arrives = yield* Latch.make(true)
      const [a, b, before] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(1000)
      yield* during(before.stop, 5000)
      const older = yield* copyOf(yield* cluster.storeOf("c"), "none")
      apart(cluster, "b", "ac")
      const { writeId } = yield* during(b.writer.commit(put("0"), { w: 1 }), 10)
      const newer = yield* cluster.start("c")
      yield* TestClock.adjust(1000)
      yield* during(a.writer.commit(put("1")), 10)
      yield* during(newer.stop, 5000)
      // What it acknowledged is gone, and only a knows that, which it does not meet yet.
      cluster.stores.set("c", older)
      apart(cluster, "a", "bc")
      together(cluster, "b", "c")
      cluster.faults.set("c>b", (client) => ({
        ...client,
        pull: (range) => Effect.andThen(arrives.await, client.pull(range))
      }))
      cluster.faults.set("c>a", (client) => ({ ...client, read: () => Effect.never, pull: () => Effect.never }))
      cluster.faults.set("b>a", (client) => ({ ...client, pull: () => Effect.never }))
      for (const to of ["b", "c"]) withoutPushes(cluster, "a", to)
      withoutPushes(cluster, "b", "c")
      yield* arrives.close
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(1000)
      assert.isTrue(c.membership.isVoting())
      const reading = yield* Effect.forkChild(
        Effect.result(ask(c, "linearizable", { withinMillis: Number.POSITIVE_INFINITY }))
      )
      const session = ClientSession.ofWrite({ writeId, clock: c.logs.clock() })
      const waits = { session, withinMillis: 60_000 }
      const page = yield* Effect.forkChild(Effect.flip(c.records.page({ ...waits, limit: 9 })))
      const local = yield* Effect.forkChild(Effect.flip(ask(c, "local", waits)))
      yield* TestClock.adjust(10)
      cluster.heal()
      yield* TestClock.adjust(10_000)
      assert.isFalse(c.membership.isVoting())
      assert.isUndefined(reading.pollUnsafe())
      yield* arrives.open
      const result = yield* soon(Fiber.join(reading))
      assert.deepInclude(Result.isFailure(result) ? { ...result.failure } : { read: result.success }, {
        _tag: "NotReady"
      })
      assert.strictEqual((yield* soon(Fiber.join(page)))._tag, "NotReady")
      assert.strictEqual((yield* soon(Fiber.join(local)))._tag, "NotReady")
    })
  )

  it.effect("is answered by the others where this replica cannot read its own copy, and says why where it cannot", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const store = yield* cluster.storeOf("a")
      const broken = new ReplicaStore.StoreError({ reason: "unavailable", detail: "the page cannot be read" })
      let works = true
      cluster.stores.set("a", {
        ...store,
        read: (...place) => Effect.suspend(() => (works ? store.read(...place) : Effect.fail(broken)))
      })
      const [a, b, c] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(1000)
      const { writeId } = yield* during(b.writer.commit(put("1"), { w: 3 }), 10)
      works = false
      assert.strictEqual((yield* Effect.flip(ask(a, "local")))._tag, "StoreError")
      assert.strictEqual(yield* soon(ask(a, "linearizable")), "1")
      assert.strictEqual(yield* soon(ask(a, "linearizable", { atLeast: writeId })), "1")
      assert.strictEqual(yield* soon(ask(a, "quorum", { r: 2 })), "1")
      yield* during(c.stop, 5000)
      const error = yield* Effect.flip(soon(ask(a, "linearizable")))
      assert.deepInclude({ ...error }, { _tag: "StoreError", detail: broken.detail })
      assert.strictEqual(yield* soon(ask(b, "local")), "1")
    })
  )

  it.effect("L70 of a key that is longer than any may be finds none, and asks nobody", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      const { request } = PeerMethods.methods.read
      const asked: Array<number> = []
      cluster.faults.set("a>b", (client) => ({
        ...client,
        read: (read) => Effect.suspend(() => (asked.push(request.encode(1, read).length), client.read(read)))
      }))
      const [a] = yield* Effect.all([cluster.start("a"), cluster.start("b")])
      yield* TestClock.adjust(1000)
      for (const consistency of ["quorum", "linearizable"] as const) {
        for (const [namespace, key] of [
          ["n", "\u0001".repeat(65_536)],
          ["n".repeat(256), "k"],
          ["n", "\u0001".repeat(65_535)]
        ] as const) {
          assert.isTrue(Option.isNone(yield* soon(a.records.read(namespace, key, { consistency }))))
        }
      }
      assert.lengthOf(asked, 2)
      assert.isBelow(Math.max(...asked), PeerProtocol.maxMessageBytes())
    })
  )

  it.effect("may wait without an end for a majority to hold what it read: what it asks others fits into a frame", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const { request } = PeerMethods.methods.read
      cluster.faults.set("a>b", (client) => ({
        ...client,
        push: () => Effect.never,
        read: (asked) => Effect.suspend(() => (request.encode(1, asked), client.read(asked)))
      }))
      const policy = Cluster.policy(2, 2)
      const [a] = yield* Effect.all([cluster.start("a", { policy }), cluster.start("b", { policy })])
      yield* TestClock.adjust(1000)
      yield* during(a.writer.commit(put("1"), { w: 1 }), 10)
      assert.strictEqual(yield* soon(ask(a, "linearizable", { withinMillis: Number.POSITIVE_INFINITY })), "1")
    })
  )

  it.effect("waits as long as it may for those who catch up, however long a question waits", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      for (const peer of ["b", "c"]) {
        withoutPushes(cluster, "a", peer)
        cluster.faults.set(`${peer}>a`, (client) => ({
          ...client,
          pull: (asked) => Effect.delay(client.pull(asked), 1900)
        }))
      }
      const [a] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(1000)
      yield* during(a.writer.commit(put("1"), { w: 1 }), 10)
      const late = yield* Effect.forkChild(Effect.flip(ask(a, "linearizable", { withinMillis: 1700 })))
      const waiting = yield* Effect.forkChild(ask(a, "linearizable", { withinMillis: 10_000 }))
      yield* pass(1800)
      assert.deepInclude(
        { ...(yield* Fiber.join(late)) },
        {
          _tag: "ReadUnavailable",
          answered: 1,
          needed: 2,
          reason: "timeout"
        }
      )
      yield* pass(3000)
      assert.strictEqual(yield* Fiber.join(waiting), "1")
    })
  )

  it.effect("waits for the write that it is to see at least, within the same time", () =>
    Effect.gen(function* () {
      const { a, c, cluster } = yield* behind
      cluster.cut("c", "b")
      yield* TestClock.adjust(5000)
      const { writeId } = yield* during(a.writer.commit(put("1")), 10)
      const atLeast = yield* Effect.forkChild(
        Effect.flip(ask(c, "linearizable", { atLeast: writeId, withinMillis: 50 }))
      )
      yield* TestClock.adjust(50)
      assert.strictEqual((yield* Fiber.join(atLeast))._tag, "NotYetVisible")
    })
  )

  it.effect(
    "takes no longer than it may, however much it waits for: what was seen first, a write then, and others",
    () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b"], 2)
        withoutPushes(cluster, "a", "b")
        cluster.faults.set("b>a", (client) => ({ ...client, pull: () => Effect.never, read: () => Effect.never }))
        const [a, b] = yield* Effect.all([cluster.start("a"), cluster.start("b")])
        yield* TestClock.adjust(1000)
        const first = yield* during(a.writer.commit(put("1"), { w: 1 }), 10)
        const never = WriteId.WriteId.make("z@0123456789abcdef:1.00000000")
        const asked = { session: ClientSession.ofWrite(first), withinMillis: 1000 }
        const reads = yield* Effect.forEach(
          [
            ask(b, "linearizable", asked),
            ask(b, "linearizable", { atLeast: first.writeId, withinMillis: 1000 }),
            ask(b, "local", { ...asked, atLeast: never })
          ],
          (read) => Effect.forkChild(Effect.flip(read))
        )
        yield* pass(900)
        yield* b.logs.append(Option.getOrThrow(yield* a.logs.read(a.logs.own, 0, 1000)))
        yield* pass(90)
        const isDone = () => reads.map((read) => read.pollUnsafe() !== undefined)
        assert.deepStrictEqual(isDone(), [false, false, false])
        yield* pass(10)
        assert.deepStrictEqual(isDone(), [true, true, true])
      })
  )

  it.effect("of a replica set of one is a read of this replica", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      assert.isUndefined(yield* ask(a, "linearizable"))
      yield* a.writer.commit(put("1"))
      assert.strictEqual(yield* ask(a, "linearizable"), "1")
      assert.strictEqual(yield* ask(a, "quorum"), "1")
    })
  )
})
