/** Reads that ask several replicas: what they see, how a namespace is read, and what cannot be asked for. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry } from "../src/index.ts"
import { ask, behind, put, soon, withoutPushes } from "./support/asks.ts"
import * as Cluster from "./support/cluster.ts"
import { text } from "./support/text.ts"
import { during } from "./support/time.ts"

describe("a quorum read", () => {
  it.effect("sees a committed write that this replica does not have, and has it fetched", () =>
    Effect.gen(function* () {
      const { a, c } = yield* behind
      yield* during(a.writer.commit(put("1")), 10)
      assert.isUndefined(yield* ask(c, "local"))
      assert.strictEqual(yield* soon(ask(c, "quorum")), "1")
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* ask(c, "local"), "1")
    })
  )

  it.effect("has the newest write fetched by a peer that turns out to miss it, which nobody writes it to", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* behind
      yield* during(a.writer.commit(put("1")), 10)
      assert.isUndefined(yield* ask(c, "local"))
      assert.strictEqual(yield* soon(ask(b, "quorum", { r: "all" })), "1")
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* ask(c, "local"), "1")
    })
  )

  it.effect("does not count what a replica said before it lost its store, and asks all again", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 1)
      const answers = yield* Latch.make(false)
      cluster.faults.set("b>a", (client) => ({
        ...client,
        read: (request) => Effect.andThen(answers.await, client.read(request))
      }))
      const [, b, old] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(1000)
      const reading = yield* Effect.forkChild(Effect.flip(ask(b, "quorum", { r: "all" })))
      yield* TestClock.adjust(10)
      yield* during(old.stop, 100)
      cluster.wipe("c")
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(1000)
      assert.isFalse(c.membership.isVoting())
      assert.isUndefined(reading.pollUnsafe())
      yield* answers.open
      const error = yield* soon(Fiber.join(reading))
      assert.deepInclude({ ...error }, { _tag: "ReadUnavailable", answered: 2, needed: 3, reason: "unreachable" })
    })
  )

  it.effect("Bounded L23 asks a peer 64 questions at once, the others in turn, and holds up nothing else", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      const answer = yield* Latch.make()
      let asked = 0
      cluster.faults.set("a>b", (client) => ({
        ...client,
        read: (request) =>
          Effect.suspend(() => {
            asked++
            return Effect.andThen(answer.await, client.read(request))
          })
      }))
      const [a] = yield* Effect.forEach(["a", "b"], (id) => cluster.start(id))
      yield* TestClock.adjust(1000)
      const reads = Effect.forEach(Array.from({ length: 200 }), () => ask(a!, "quorum"), { concurrency: "unbounded" })
      const reading = yield* Effect.forkChild(reads)
      yield* during(a!.writer.commit(put("v")), 10)
      assert.strictEqual(asked, 64)
      yield* answer.open
      assert.deepStrictEqual([...new Set(yield* soon(Fiber.join(reading)))], ["v"])
      assert.strictEqual(asked, 200)
    })
  )

  it.effect("asks as many replicas as `r` says, and this one alone for 1", () =>
    Effect.gen(function* () {
      const { a, c } = yield* behind
      yield* during(a.writer.commit(put("1")), 10)
      assert.isUndefined(yield* ask(c, "quorum", { r: 1 }))
      const error = yield* Effect.flip(soon(ask(c, "quorum", { r: "all" })))
      assert.deepInclude({ ...error }, { _tag: "ReadUnavailable", answered: 1, needed: 3, reason: "unreachable" })
    })
  )

  it.effect("the newest of all answers wins, a delete too", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* behind
      yield* during(b.writer.commit(put("old")), 10)
      yield* TestClock.adjust(1000)
      yield* during(a.writer.commit(put("new")), 10)
      assert.strictEqual(yield* soon(ask(c, "quorum")), "new")
      yield* during(a.writer.commit(Entry.remove("n", "k")), 10)
      assert.isUndefined(yield* soon(ask(c, "quorum")))
    })
  )
})

describe("how a namespace is read", () => {
  it.effect("is what its replica was told, where a read does not say", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      withoutPushes(cluster, "a", "c")
      const options = { replica: { reads: { n: "linearizable" } } } as const
      const [a] = yield* Effect.all([cluster.start("a"), cluster.start("b")])
      const c = yield* cluster.start("c", options)
      yield* TestClock.adjust(1000)
      cluster.cut("c", "a")
      yield* TestClock.adjust(5000)
      yield* during(a.writer.commit(put("1")), 10)
      assert.isUndefined(yield* ask(c, "local"))
      assert.strictEqual(text(yield* soon(c.records.read("n", "k"))), "1")
      assert.isTrue(Option.isNone(yield* c.records.read("other", "k")))
    })
  )

  it.effect("cannot be linearizable where fewer than a majority have to hold a write", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 1)
      const error = yield* Effect.flip(Effect.scoped(cluster.start("a", { replica: { reads: { n: "linearizable" } } })))
      assert.include(String(error), 'linearizable reads of "n" need w of a majority of 3, and w is 1')
    })
  )
})

describe("what cannot be asked for", () => {
  it.effect("is rejected, and the field is named", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const a = yield* cluster.start("a", { namespaces: { few: Cluster.policy(3, 1) } })
      yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      const field = (namespace: string, options: object) =>
        Effect.map(Effect.flip(a.records.read(namespace, "k", options)), (error) =>
          error._tag !== "ReadRejected" ? error._tag : error.detail.includes("w has") ? error.detail : error.field
        )
      assert.strictEqual(yield* field("n", { consistency: "strong" }), "consistency")
      assert.strictEqual(yield* field("n", { consistency: null }), "consistency")
      assert.strictEqual(yield* field("few", { consistency: "linearizable" }), "consistency")
      assert.strictEqual(yield* field("n", { r: 2 }), "r")
      assert.strictEqual(yield* field("n", { consistency: "linearizable", r: 2 }), "r")
      for (const r of [0, 4, -1, 1.5, "2", { allBut: 3 }]) {
        assert.strictEqual(yield* field("n", { consistency: "quorum", r }), "r", JSON.stringify(r))
      }
      for (const consistency of ["local", "quorum", "linearizable"]) {
        for (const withinMillis of [NaN, -1, "5", null, {}]) {
          assert.strictEqual(yield* field("n", { consistency, withinMillis }), "withinMillis", String(withinMillis))
        }
      }
      assert.isTrue(Option.isNone(yield* a.records.read("few", "k", { consistency: "quorum", r: { allBut: 1 } })))
      assert.isTrue(Option.isNone(yield* a.records.read("n", "\ud800", { consistency: "linearizable" })))
    })
  )
})
