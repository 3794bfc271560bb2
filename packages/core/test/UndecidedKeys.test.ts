/** Writes under a key that their caller invented, while it is not known whether one was written: an answer that says so. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, type Exit, Fiber, Latch, Option, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type PeerMethods, ReplicaStore } from "../src/adapter.ts"
import { QuorumError, type QuorumWriter, type Receipt } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { commit, copies, keyed, met, put, slowReads } from "./support/keyed.ts"
import { during, failure, pass } from "./support/time.ts"

describe("a write under a key, of which it is not known whether it was written", () => {
  it.effect(
    "L58 NotWrittenMeansNever: is an honest unknown where it is not held and a member cannot be asked, and is not written",
    () =>
      Effect.gen(function* () {
        const { a, apart, b, c, cluster } = yield* met()
        apart("c")
        const { seq } = c.logs.head(c.logs.own)
        // A majority would not do: what `c` holds may come to light.
        for (const replica of [a, b, c]) {
          const error = yield* during(failure(replica.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 5000)
          assert.match(error.message, /not all of the 3 replicas say whether they hold it/)
        }
        assert.strictEqual(c.logs.head(c.logs.own).seq, seq)
        cluster.heal()
        yield* pass(12_000)
        for (const replica of [a, b, c]) assert.lengthOf(yield* copies(replica, "v"), 0)
        const first = yield* commit(c, put("v"))
        apart("c")
        // Held, it is found without anybody being asked.
        yield* pass(100)
        assert.strictEqual((yield* commit(a, put("v"))).writeId, first.writeId)
      })
  )

  it.effect(
    "OnceByKey: is written by one replica at most when it is sent to two at once, each of which asks the other",
    () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* met({}, { links: ["a>b", "a>c", "b>a", "b>c"], client: slowReads })
        const both = yield* during(
          Effect.all(
            [a, b].map((replica) => Effect.result(replica.writer.commit(put("v"), keyed))),
            { concurrency: "unbounded" }
          ),
          1000
        )
        // The first to ask was told that it is undecided, and had given up when it was asked itself.
        assert.deepStrictEqual(
          both.map((result) => (Result.isFailure(result) ? result.failure._tag : "written")),
          ["IdempotencyUnknown", "written"]
        )
        const { writeId } = yield* commit(b, put("v"))
        assert.strictEqual((yield* commit(a, put("v"))).writeId, writeId)
        yield* pass(2000)
        for (const replica of [a, b, c]) assert.lengthOf(yield* copies(replica, "v"), 1)
      })
  )

  it.effect("is undecided until it is durable, also when its caller gives up meanwhile, and found from then on", () =>
    Effect.gen(function* () {
      const { a, b } = yield* met({}, { write: Effect.delay(100) })
      const giveUp = a.writer.commitUnsafe(put("v"), () => assert.fail("nobody waits"), keyed)
      for (let i = 0; i < 500 && a.writer.waiting() === 0; i++) yield* Effect.yieldNow
      giveUp()
      for (let i = 0; i < 10; i++) yield* Effect.yieldNow
      assert.strictEqual(a.writer.waiting(), 1)
      yield* during(failure(b.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 50)
      yield* pass(500)
      const again = yield* commit(b, put("v"))
      assert.match(again.writeId, /^a@/)
      for (const replica of [a, b]) assert.lengthOf(yield* copies(replica, "v"), 1)
    })
  )

  it.effect("NotWrittenMeansNever: stays undecided where nobody knows whether it was appended", () =>
    Effect.gen(function* () {
      const uncertain = new ReplicaStore.StoreError({ reason: "uncertain", detail: "the disk went away" })
      const { a, b } = yield* met({}, { write: () => Effect.fail(uncertain) })
      yield* during(failure(a.writer.commit(put("v"), keyed), "WriteUncertain"), 500)
      // Also after it was sent there again, where it cannot be appended any more.
      for (const replica of [b, a, b]) {
        yield* during(failure(replica.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 5000)
      }
    })
  )

  it.effect("OnceByKey: is undecided while it is sent again after an append that failed, which may be told twice", () =>
    Effect.gen(function* () {
      let fails = true
      const full = new ReplicaStore.StoreError({ reason: "unavailable", detail: "the disk is full" })
      const slowAnswers = (client: PeerMethods.PeerClient): PeerMethods.PeerClient => ({
        ...client,
        read: (read) => Effect.tap(client.read(read), () => Effect.sleep(100))
      })
      const { a, b } = yield* met(
        {},
        {
          links: ["a>b", "a>c"],
          client: slowAnswers,
          write: (append) => Effect.suspend(() => (fails ? Effect.fail(full) : append))
        }
      )
      const first = yield* Effect.forkChild(failure(a.writer.commit(put("v"), keyed), "LocalWriteFailed"))
      const second = yield* Effect.forkChild(a.writer.commit(put("v"), keyed))
      yield* pass(120)
      yield* Fiber.join(first)
      fails = false
      yield* during(failure(b.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 50)
      yield* pass(500)
      assert.match((yield* Fiber.join(second)).writeId, /^a@/)
      for (const replica of [a, b]) assert.lengthOf(yield* copies(replica, "v"), 1)
    })
  )

  it.effect("is decided when a disk that has not answered for long says that nothing was written", () =>
    Effect.gen(function* () {
      const full = new ReplicaStore.StoreError({ reason: "unavailable", detail: "the disk is full" })
      const { a, b } = yield* met({}, { write: () => Effect.delay(Effect.fail(full), 5000) })
      yield* during(failure(a.writer.commit(put("v"), keyed), "WriteUncertain"), 4000)
      yield* during(failure(b.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 500)
      yield* pass(5000)
      assert.match((yield* commit(b, put("v"))).writeId, /^b@/)
    })
  )

  it.effect(
    "OnceByKey: is not known while what a lost replica had sent of it may still come to the disk of another, and found then",
    () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b", "c"], 2)
        const disk = Latch.makeUnsafe(true)
        const { steps: _, ...store } = yield* cluster.storeOf("b")
        cluster.stores.set("b", { ...store, append: (batch) => Effect.andThen(disk.await, store.append(batch)) })
        cluster.faults.set("a>c", (client) => ({ ...client, push: () => Effect.never }))
        cluster.faults.set("c>a", (client) => ({ ...client, pull: () => Effect.never }))
        const a = yield* cluster.start("a")
        const [b, c] = yield* Effect.all([cluster.start("b"), cluster.start("c")])
        yield* pass(2000)
        disk.closeUnsafe()
        const { writeId } = yield* during(failure(a.writer.commit(put("v"), keyed), "QuorumNotMet"), 5000)
        yield* a.stop
        cluster.wipe("a")
        cluster.faults.clear()
        const again = yield* cluster.start("a")
        yield* pass(6000)
        assert.isTrue(again.membership.isVoting())
        for (const replica of [again, b, c]) {
          yield* during(failure(replica.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 5000)
        }
        disk.openUnsafe()
        yield* pass(2000)
        for (const replica of [again, b, c]) {
          assert.strictEqual((yield* commit(replica, put("v"))).writeId, writeId)
          assert.lengthOf(yield* copies(replica, "v"), 1)
        }
      })
  )

  it.effect("is decided when it was refused, also when its caller has given up by then", () =>
    Effect.gen(function* () {
      const { a, b } = yield* met(
        { policy: Cluster.policy(3, 2, { order: "real-time" }) },
        { links: ["a>b", "a>c"], client: (client) => ({ ...client, probe: () => Effect.never }) }
      )
      const giveUp = a.writer.commitUnsafe(put("v"), () => assert.fail("nobody waits"), keyed)
      for (let i = 0; i < 500 && a.writer.waiting() === 0; i++) yield* Effect.yieldNow
      giveUp()
      yield* pass(3000)
      assert.strictEqual(a.writer.waiting(), 0)
      assert.match((yield* commit(b, put("v"))).writeId, /^b@/)
    })
  )

  it.effect.prop(
    "OnceByKey: takes effect once at most, whatever replicas it is sent to, whoever is cut off, and when",
    {
      steps: Arbitrary.array(
        Arbitrary.schema(
          Schema.Struct({
            what: Schema.Literals(["send", "send", "send", "cut", "heal", "pass", "pass", "wait"]),
            at: Schema.Literals(["a", "b", "c"]),
            turns: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 }))
          })
        )
      )
    },
    ({ steps }) =>
      Effect.gen(function* () {
        const { apart, cluster, ...replicas } = yield* met(
          {},
          {
            links: ["a>b", "b>c"],
            client: slowReads,
            write: Effect.delay(40)
          }
        )
        const fibers: Array<Fiber.Fiber<Receipt.Receipt, QuorumWriter.CommitError>> = []
        for (const { at, turns, what } of steps) {
          if (what === "cut") apart(at)
          else if (what === "heal") cluster.heal()
          else if (what === "pass") yield* TestClock.adjust(turns)
          else if (what === "wait") yield* pass(turns * 100)
          else fibers.push(yield* Effect.forkChild(replicas[at].writer.commit(put("v"), keyed)))
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
        }
        cluster.heal()
        yield* pass(20_000)
        const ids = new Set<string>()
        for (const fiber of fibers) {
          const exit = yield* Effect.exit(Fiber.join(fiber))
          const error = exit._tag === "Failure" ? Option.getOrThrow(optionOf(exit)) : undefined
          if (exit._tag === "Success") ids.add(exit.value.writeId)
          else if (error instanceof QuorumError.QuorumNotMet) ids.add(error.writeId)
          else assert.isTrue(saysUnwritten.has(error!._tag), error!._tag)
        }
        assert.isAtMost(ids.size, 1)
        for (const replica of [replicas.a, replicas.b, replicas.c]) {
          assert.isAtMost((yield* copies(replica, "v")).length, 1)
        }
        yield* pass(5000)
      }),
    { arbitrary: { runs: 100, size: 20 }, timeout: 60_000 }
  )
})

/** What a write may be answered with that met a fault at any moment, and was not written. */
const saysUnwritten = new Set<string>(["IdempotencyUnknown", "QuorumUnavailable", "NotReady"])

const optionOf = <A, E>(exit: Exit.Failure<A, E>): Option.Option<E> =>
  Option.fromNullishOr(exit.cause.reasons.flatMap((reason) => (reason._tag === "Fail" ? [reason.error] : []))[0])
