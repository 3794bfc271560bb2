/** Writes under a key that their caller invented: one write, however often and wherever it is sent. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, type Exit, Fiber } from "effect"
import { Entry, Limits, type QuorumWriter, type Receipt } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { commit, copies, keyed, met, put } from "./support/keyed.ts"
import { text } from "./support/text.ts"
import { during, failure, pass } from "./support/time.ts"

describe("a write under a key of its caller", () => {
  it.effect("OnceByKey: is one write at whatever replica it is sent again, however much came after it", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* met()
      const first = yield* commit(a, put("v"))
      const other = yield* commit(b, put("later"), {})
      for (const replica of [a, b, c, b, a]) {
        const again = yield* commit(replica, put("v"))
        assert.deepStrictEqual([again.writeId, again.clock, again.tie], [first.writeId, first.clock, first.tie])
      }
      yield* pass(2000)
      for (const replica of [a, b, c]) {
        assert.strictEqual(text(yield* replica.records.read("n", "k")), "later")
        assert.lengthOf(yield* copies(replica, "v"), 1)
      }
      assert.notStrictEqual(other.writeId, first.writeId)
    })
  )

  it.effect("is found again after a restart, and where another replica holds it when this one does not yet", () =>
    Effect.gen(function* () {
      const { a, apart, b, cluster } = yield* met()
      apart("c")
      const first = yield* commit(a, put("v"), { ...keyed, w: 1 }).pipe(
        Effect.catchTag("IdempotencyUnknown", () => Effect.succeed(undefined))
      )
      assert.isUndefined(first)
      cluster.heal()
      yield* pass(12_000)
      const written = yield* commit(a, put("v"))
      yield* a.stop
      yield* pass(1000)
      const again = yield* cluster.start("a")
      yield* pass(12_000)
      assert.strictEqual((yield* commit(again, put("v"))).writeId, written.writeId)
      assert.strictEqual((yield* commit(b, put("v"))).writeId, written.writeId)
    })
  )

  it.effect("with other content, or of other keys, is refused, and says whose key it is", () =>
    Effect.gen(function* () {
      const { a, b } = yield* met()
      const { writeId } = yield* commit(a, put("v"))
      const others: ReadonlyArray<Entry.Writes> = [
        put("w"),
        put("v", "l"),
        Entry.remove("n", "k"),
        Entry.put("n", "k", "v", { contentType: "text/plain" }),
        [put("v"), put("v", "l")]
      ]
      for (const other of others) {
        for (const replica of [a, b]) {
          const error = yield* during(failure(replica.writer.commit(other, keyed), "IdempotencyKeyReused"), 5000)
          assert.strictEqual(error.held, writeId)
        }
      }
      // Of another namespace it is another key.
      const other = yield* commit(b, put("v", "k", "m"))
      assert.notStrictEqual(other.writeId, writeId)
    })
  )

  it.effect("is completed when its quorum was not met, and not written again", () =>
    Effect.gen(function* () {
      const options = { policy: Cluster.policy(3, 2, { ackTimeout: 300 }) }
      const { a, b, cluster } = yield* met(options)
      // Everybody is asked, and `c` hears of no write.
      cluster.faults.set("a>c", (client) => ({ ...client, push: () => Effect.never }))
      yield* a.stop
      const again = yield* cluster.start("a", options)
      yield* pass(2000)
      const { writeId } = yield* during(
        failure(again.writer.commit(put("v"), { ...keyed, w: 3 }), "QuorumNotMet"),
        5000
      )
      cluster.heal()
      yield* pass(12_000)
      for (const replica of [again, b]) {
        assert.strictEqual((yield* commit(replica, put("v"), { ...keyed, w: 3 })).writeId, writeId)
      }
    })
  )

  it.effect("of many at once has one mark beside it, is held as a whole, and goes by the policy of its namespace", () =>
    Effect.gen(function* () {
      const namespaces = { n: Cluster.policy(3, 1) }
      const { a, c } = yield* met({ policy: Cluster.policy(3, 3), namespaces })
      const one = yield* commit(a, put("v", "x"), { idempotencyKey: "one" })
      assert.strictEqual(one.policy.w, 1)
      const both = yield* commit(a, [put("v"), put("v", "l")])
      yield* pass(2000)
      const again = yield* commit(c, [put("v"), put("v", "l")])
      assert.strictEqual(again.writeId, both.writeId)
      const marks = yield* c.records.keys({ namespace: "n.idempotency", limit: 10 })
      assert.deepStrictEqual(
        marks.keys.map(({ key }) => key),
        ["one", "order-1"]
      )
      // A mark that is deleted is forgotten.
      yield* commit(a, Entry.remove("n.idempotency", "order-1"), {})
      yield* pass(2000)
      assert.notStrictEqual((yield* commit(c, [put("v"), put("v", "l")])).writeId, both.writeId)
    })
  )

  it.effect(
    "OnceByKey: of several namespaces is one write, and known beside the first by name, in whatever order",
    () =>
      Effect.gen(function* () {
        const { a, b } = yield* met()
        const [m, n, mark] = [put("1", "x", "m"), put("2", "y"), Entry.remove("a.idempotency", "old")]
        const first = yield* commit(a, [n, mark, m])
        yield* pass(1000)
        const again = yield* commit(b, [m, n, mark])
        assert.strictEqual(again.writeId, first.writeId)
        yield* pass(1000)
        const { keys } = yield* b.records.keys({ namespace: "m.idempotency", limit: 10 })
        assert.deepStrictEqual(
          keys.map(({ key }) => key),
          ["order-1"]
        )
        const other = yield* failure(commit(b, [put("3", "x", "m"), n, mark]), "IdempotencyKeyReused")
        assert.strictEqual(other.held, first.writeId)
      })
  )

  it.effect("is written once when it is sent to one replica many times at once, with and without a fiber", () =>
    Effect.gen(function* () {
      const { a } = yield* met()
      const outcomes = Array.from({ length: 5 }, () =>
        Deferred.makeUnsafe<Exit.Exit<Receipt.Receipt, QuorumWriter.CommitError>>()
      )
      for (const outcome of outcomes) {
        a.writer.commitUnsafe(put("v"), (exit) => void Deferred.doneUnsafe(outcome, Effect.succeed(exit)), keyed)
      }
      const fibers = yield* Effect.forEach(outcomes, () => Effect.forkChild(a.writer.commit(put("v"), keyed)))
      const ids = yield* during(
        Effect.all([
          ...outcomes.map((each) => Effect.flatten(Deferred.await(each))),
          ...fibers.map((each) => Fiber.join(each))
        ]),
        5000
      )
      assert.strictEqual(new Set(ids.map(({ writeId }) => writeId)).size, 1)
      assert.lengthOf(yield* copies(a, "v"), 1)
    })
  )

  it.effect("L66 is refused by the name of the key where that is none, and nothing is written", () =>
    Effect.gen(function* () {
      const { a } = yield* met()
      const { seq } = a.logs.head(a.logs.own)
      const stamp = yield* during(a.writer.stamp({ namespace: "n", key: "k" }), 100)
      const long = "x".repeat(250)
      for (const [write, options] of [
        [put("v"), { idempotencyKey: "" }],
        [put("v"), { idempotencyKey: "a b" }],
        [put("v"), { idempotencyKey: "ü" }],
        [put("v"), { idempotencyKey: "x".repeat(256) }],
        [put("v"), { idempotencyKey: 5 as never }],
        [put("v"), { ...keyed, stamp }],
        [put("v", "k", long), keyed],
        [put("v", "k", "n.idempotency"), keyed]
      ] as const) {
        const error = yield* during(failure(a.writer.commit(write, options), "WriteRejected"), 100)
        assert.strictEqual(error.field, "idempotencyKey")
      }
      assert.strictEqual(a.logs.head(a.logs.own).seq, seq)
    })
  )

  it.effect(
    "L66 is refused by the name of the key, before anybody is asked, where its mark has no place beside it",
    () =>
      Effect.gen(function* () {
        const { a, apart } = yield* met()
        apart("a")
        const most = Array.from({ length: Entry.maxRecords }, (_, i) => put("v", `${i}`)) as [Entry.Write]
        for (const [write, idempotencyKey] of [
          [put("v"), "a key of 21 letters..".replaceAll(" ", "-")],
          [most, "k"],
          [[put("v"), put("v", "k", "n.idempotency")], "k"]
        ] as const) {
          const error = yield* during(failure(a.writer.commit(write, { idempotencyKey }), "WriteRejected"), 100)
          assert.strictEqual(error.field, "idempotencyKey")
          assert.match(error.detail, /^its mark cannot stand beside the write: writes/)
        }
        const error = yield* during(
          failure(a.writer.commit(put("v"), { idempotencyKey: "20-letters-are-many." }), "IdempotencyUnknown"),
          5000
        )
        assert.strictEqual(error._tag, "IdempotencyUnknown")
      }).pipe(Effect.provideService(Limits.Limits, { ...Limits.defaults, keyBytes: 20 }))
  )
})
