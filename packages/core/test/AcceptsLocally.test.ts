/** Writes by a policy that takes them where too few replicas are there: `unavailable: "accept"`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result, Stream } from "effect"
import { Entry } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { text } from "./support/text.ts"
import { during, failure, pass } from "./support/time.ts"

const put = (value: string, namespace = "n", key = "k") => Entry.put(namespace, key, value)

const accepting = Cluster.policy(3, 2, { order: "real-time", unavailable: "accept", ackTimeout: 2000 })
const refusing = Cluster.policy(3, 2, { order: "real-time", ackTimeout: 2000 })

/** Three replicas that have met. By the usual policy writes are refused, those of the namespace `n` are taken. */
const met = Effect.gen(function* () {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  const options = { policy: refusing, namespaces: { n: accepting } }
  const [a, b, c] = yield* Effect.all([
    cluster.start("a", options),
    cluster.start("b", options),
    cluster.start("c", options)
  ])
  yield* pass(2000)
  const apart = (): void => {
    for (const other of ["b", "c"]) {
      cluster.cut("a", other)
      cluster.cut(other, "a")
    }
  }
  return { a, b, c, cluster, apart }
})

/** The stamp of an own entry of a replica. */
const stampOf = ({ logs }: Cluster.Running, seq: number) =>
  Effect.map(logs.read(logs.own, seq - 1, 1), (batch) => Entry.stampAt(Option.getOrThrow(batch).bytes, 0))

describe("a write that is accepted without a quorum", () => {
  it.effect("is written here and not committed, spreads later, and is committed when it is waited for again", () =>
    Effect.gen(function* () {
      const { a, apart, b, cluster } = yield* met
      apart()
      yield* pass(20_000)
      const { seq } = a.logs.head(a.logs.own)
      const unmet = yield* during(failure(a.writer.commit(put("v")), "QuorumNotMet"), 2100)
      assert.deepInclude({ ...unmet }, { got: 1, needed: 2, reason: "timeout" })
      assert.strictEqual(unmet.writeId, yield* Cluster.idAt(a.logs, seq + 1))
      assert.isTrue((yield* stampOf(a, seq + 1)).unprobed)
      assert.strictEqual(text(yield* a.records.read("n", "k")), "v")
      assert.isFalse((yield* a.writer.status(unmet.writeId)).committed)
      cluster.heal()
      yield* pass(12_000)
      assert.strictEqual(text(yield* b.records.read("n", "k")), "v")
      const receipt = yield* during(b.writer.resume(unmet.writeId), 100)
      assert.strictEqual(receipt.writeId, unmet.writeId)
      // It was stamped by the clocks, and says so.
      assert.deepInclude({ ...receipt.policy }, { w: 2, order: "clock", unavailable: "accept" })
    })
  )

  it.effect("is refused by every other policy, and where a part of it is", () =>
    Effect.gen(function* () {
      const { a, apart } = yield* met
      apart()
      yield* pass(20_000)
      const { seq } = a.logs.head(a.logs.own)
      yield* failure(a.writer.commit(put("v", "other")), "QuorumUnavailable")
      for (const namespaces of [
        ["n", "other"],
        ["other", "n"]
      ] as const) {
        const [first, second] = namespaces
        yield* failure(a.writer.commit([put("v", first), put("v", second, "l")]), "QuorumUnavailable")
      }
      assert.strictEqual(a.logs.head(a.logs.own).seq, seq)
    })
  )

  it.effect("is taken too when those who seemed to be there do not say their clocks in time", () =>
    Effect.gen(function* () {
      const { a, apart } = yield* met
      apart()
      const { seq } = a.logs.head(a.logs.own)
      const [taken, refused] = yield* during(
        Effect.all([Effect.result(a.writer.commit(put("v"))), Effect.result(a.writer.commit(put("v", "other")))], {
          concurrency: "unbounded"
        }),
        4100
      )
      assert.strictEqual(Result.isFailure(taken) && taken.failure._tag, "QuorumNotMet")
      assert.strictEqual(Result.isFailure(refused) && refused.failure._tag, "QuorumUnavailable")
      assert.strictEqual(a.logs.head(a.logs.own).seq, seq + 1)
      assert.isTrue((yield* stampOf(a, seq + 1)).unprobed)
    })
  )

  it.effect("shows at once that it is durable here", () =>
    Effect.gen(function* () {
      const { a, apart } = yield* met
      apart()
      yield* pass(20_000)
      const steps = yield* during(Stream.runCollect(Stream.take(a.writer.progress(put("v")), 1)), 100)
      assert.deepStrictEqual(
        steps.map(({ _tag }) => _tag),
        ["Durable"]
      )
      // Its deadline, which nobody waits for any more.
      yield* pass(2100)
    })
  )

  it.effect("OnceByKey: may have a stamp, which says that nobody was asked", () =>
    Effect.gen(function* () {
      const { a, apart, c, cluster } = yield* met
      apart()
      yield* pass(20_000)
      const stamp = yield* during(a.writer.stamp({ namespace: "n", key: "k" }), 100)
      assert.match(stamp, /\.u\./)
      const unmet = yield* during(failure(a.writer.commit(put("v"), { stamp }), "QuorumNotMet"), 2100)
      cluster.heal()
      yield* pass(12_000)
      const receipt = yield* during(c.writer.commit(put("v"), { stamp }), 2000)
      assert.strictEqual(receipt.writeId, unmet.writeId)
    })
  )

  it.effect("says in its receipt that nobody was asked for its stamp, also when a majority is there by then", () =>
    Effect.gen(function* () {
      const { a, apart, c, cluster } = yield* met
      apart()
      yield* pass(20_000)
      const stamp = yield* during(a.writer.stamp({ namespace: "n", key: "k" }), 100)
      cluster.heal()
      yield* pass(12_000)
      for (const replica of [a, a, c]) {
        const receipt = yield* during(replica.writer.commit(put("v"), { stamp }), 2000)
        assert.deepInclude({ ...receipt.policy }, { w: 2, order: "clock" })
      }
      const asked = yield* during(a.writer.stamp({ namespace: "n", key: "k" }), 2000)
      assert.strictEqual((yield* during(a.writer.commit(put("w"), { stamp: asked }), 2000)).policy.order, "real-time")
    })
  )

  it.effect("LaterWins: is as later as its clock says; while a majority is there it is asked as ever", () =>
    Effect.gen(function* () {
      const { a, apart, cluster } = yield* met
      const first = yield* during(a.writer.commit(put("first")), 2000)
      assert.strictEqual(first.policy.order, "real-time")
      assert.isFalse((yield* stampOf(a, a.logs.head(a.logs.own).seq)).unprobed)
      apart()
      yield* pass(20_000)
      yield* during(failure(a.writer.commit(put("second")), "QuorumNotMet"), 2100)
      cluster.heal()
      yield* pass(12_000)
      const third = yield* during(a.writer.commit(put("third")), 2000)
      assert.strictEqual(third.policy.order, "real-time")
      assert.strictEqual(text(yield* a.records.read("n", "k")), "third")
    })
  )

  it.effect("has its own policy in its receipt, also when it is appended together with one of another", () =>
    Effect.gen(function* () {
      const { a } = yield* met
      const receipts = yield* during(
        Effect.all([a.writer.commit(put("v")), a.writer.commit(put("v", "other"))], { concurrency: "unbounded" }),
        2000
      )
      assert.deepStrictEqual(
        receipts.map(({ policy }) => policy.unavailable),
        ["accept", "refuse"]
      )
    })
  )
})
