/** Commits without a fiber: the outcomes of `commit`, told to a function. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type QuorumWriter, type Receipt } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

const put = (key: string, value = "v") => Entry.put("n", key, value)

type Outcome = Exit.Exit<Receipt.Receipt, QuorumWriter.CommitError>

/** Commits, and collects what is told. */
const told = ({ writer }: Cluster.Running, write: Entry.Writes, options?: QuorumWriter.WriteOptions) => {
  const outcomes: Array<Outcome> = []
  const takeBack = writer.commitUnsafe(write, (outcome) => void outcomes.push(outcome), options)
  return { outcomes, takeBack }
}

const errorOf = (outcomes: ReadonlyArray<Outcome>) =>
  Effect.map(Effect.flip(outcomes[0]!), ({ _tag }) => ({ _tag, told: outcomes.length }))

describe("commitUnsafe", () => {
  it.effect("answers 256 writes that wait together in one turn, in their order", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 2)
      const ids: Array<string> = []
      /** Answers between which nothing else has run, not even what waited for a promise, are one turn. */
      let turns = 0
      let isTurn = false
      for (let i = 0; i < 256; i++) {
        a.writer.commitUnsafe(put(`k${i}`), (outcome) => {
          if (!isTurn) turns++
          isTurn = true
          queueMicrotask(() => void (isTurn = false))
          if (Exit.isSuccess(outcome)) ids.push(outcome.value.writeId)
        })
      }
      assert.deepStrictEqual(ids, [])
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(ids, yield* Effect.forEach(ids, (_, i) => Cluster.idAt(a.logs, i + 1)))
      assert.strictEqual(ids.length, 256)
      assert.strictEqual(turns, 1)
      assert.strictEqual(b.logs.head(a.logs.own).seq, 256)
    })
  )

  it.effect("tells within the call why a write is refused, as commit fails with it", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("abc", 2)
      const { outcomes } = told(a, put(""))
      assert.deepStrictEqual(yield* errorOf(outcomes), { _tag: "WriteRejected", told: 1 })
      const { outcomes: tooMany } = told(a, put("k"), { w: 4 })
      assert.deepStrictEqual(yield* errorOf(tooMany), { _tag: "InvalidPolicy", told: 1 })
    })
  )

  it.effect("tells of a quorum that was not met", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("abc", 2)
      const { outcomes } = told(a, put("k"), { w: "all" })
      cluster.cut("a", "c")
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(yield* errorOf(outcomes), { _tag: "QuorumNotMet", told: 1 })
    })
  )

  it.effect("a write that is taken back before its append is never written, and nothing is told", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      // The writer does not append before every peer was tried, and b does not answer.
      cluster.faults.set("a>b", (client) => ({ ...client, hello: () => Effect.never }))
      yield* cluster.start("b")
      const a = yield* cluster.start("a")
      const { outcomes, takeBack } = told(a, put("gone"))
      yield* TestClock.adjust(10)
      takeBack()
      yield* TestClock.adjust(10_000)
      assert.strictEqual(a.logs.head(a.logs.own).seq, 0)
      assert.deepStrictEqual(outcomes, [])
    })
  )

  it.effect("a write whose waiting ends after its append stays, and nothing is told", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* Cluster.running("abc", 2)
      cluster.cut("a", "c")
      const { outcomes, takeBack } = told(a, put("k"), { w: "all" })
      yield* TestClock.adjust(10)
      assert.strictEqual(b.logs.head(a.logs.own).seq, 1)
      takeBack()
      takeBack()
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(outcomes, [])
      assert.strictEqual(a.logs.head(a.logs.own).seq, 1)
    })
  )

  it.effect("what throws when it is told keeps nobody else from being told, and is logged", () =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))])
      const cluster = yield* Cluster.make(["a", "b"], 2)
      yield* cluster.start("b")
      const a = yield* cluster.start("a", { logger })
      yield* TestClock.adjust(1000)
      a.writer.commitUnsafe(put("first"), () => {
        throw new Error("a fault of the caller")
      })
      const { outcomes } = told(a, put("second"))
      yield* TestClock.adjust(10)
      assert.isTrue(Exit.isSuccess(outcomes[0]!))
      assert.include(logged.join(), "has thrown")
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(during(a.writer.commit(put("third")), 10))))
    })
  )

  it.effect("OnceByKey: a stamp's write is one, however often it is committed, and its waiting can be ended", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("abc", 2)
      const stamp = yield* during(a.writer.stamp({ namespace: "n", key: "k" }), 10)
      const { outcomes: first } = told(a, put("k"), { stamp })
      yield* TestClock.adjust(10)
      const { outcomes: again } = told(a, put("k"), { stamp })
      const other = yield* during(a.writer.stamp({ namespace: "n", key: "other" }), 10)
      const { outcomes: ended, takeBack } = told(a, put("other"), { stamp: other })
      takeBack()
      yield* TestClock.adjust(10)
      assert.strictEqual((yield* first[0]!).writeId, (yield* again[0]!).writeId)
      assert.deepStrictEqual(ended, [])
      assert.strictEqual(a.logs.head(a.logs.own).seq, 1)
    })
  )
})
