/** A commit, step by step. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type QuorumWriter, type Receipt } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"

const put = Entry.put("n", "k", "v")

/** Collects the steps of a write, each with when it came. */
const follow = Effect.fnUntraced(function* ({ writer }: Cluster.Running, options?: QuorumWriter.WriteOptions) {
  const steps: Array<Receipt.Progress> = []
  const fiber = yield* Effect.forkChild(
    Stream.runForEach(writer.progress(put, options), (step) => Effect.sync(() => void steps.push(step)))
  )
  const said = () =>
    steps.map((step) => (step._tag === "Held" ? `${step.replica}${step.late ? " late" : ""}` : step._tag))
  return { steps, fiber, said }
})

/** Three replicas; pushes of the first to `c` take so many milliseconds. */
const slow = Effect.fnUntraced(function* (millis: number) {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  const push = (peer: string, after: number) =>
    cluster.faults.set(`a>${peer}`, (client) => ({ ...client, push: (each) => Effect.delay(client.push(each), after) }))
  push("b", 20)
  push("c", millis)
  const [a] = yield* Effect.forEach(["a", "b", "c"], (id) => cluster.start(id))
  yield* TestClock.adjust(1000)
  return { cluster, a: a! }
})

/** A step that was made in the last millisecond takes some turns to come through the stream. */
const after = (millis: number) =>
  Effect.andThen(
    TestClock.adjust(millis),
    Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow)
  )

describe("progress", () => {
  it.effect("ends when its replica is closed, with the outcome that it has by then", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* slow(50)
      for (const other of ["a", "b"]) {
        cluster.cut("c", other)
        cluster.cut(other, "c")
      }
      const committed = yield* follow(a)
      yield* after(30)
      const waiting = yield* follow(a, { w: 3 })
      yield* after(30)
      assert.deepStrictEqual([committed.said(), waiting.said()], [["Durable", "Committed"], ["Durable"]])
      yield* Effect.forkChild(a.stop)
      yield* after(3000)
      assert.deepStrictEqual(
        [committed.said(), waiting.said()],
        [
          ["Durable", "Committed"],
          ["Durable", "NotMet"]
        ]
      )
      for (const { fiber } of [committed, waiting]) assert.isDefined(fiber.pollUnsafe(), "it waits for nobody")
    })
  )

  it.effect("is durable here, then committed, then held by the others, and ends when all hold it", () =>
    Effect.gen(function* () {
      const { a } = yield* slow(50)
      const { fiber, said, steps } = yield* follow(a)
      yield* after(19)
      assert.deepStrictEqual(said(), ["Durable"])
      yield* after(1)
      assert.deepStrictEqual(said(), ["Durable", "Committed"])
      yield* after(30)
      assert.deepStrictEqual(said(), ["Durable", "Committed", "c"])
      yield* Fiber.join(fiber)
      const [durable, committed, held] = steps
      if (committed?._tag !== "Committed" || held?._tag !== "Held") return assert.fail("these are other steps")
      const { clock, tie, writeId } = committed.receipt
      assert.deepStrictEqual(durable, { _tag: "Durable", writeId, clock, tie })
      assert.deepInclude(held.status, { writeId, committed: true })
      assert.deepStrictEqual([...held.status.holders], ["a", "b", "c"].map(Cluster.id))
    })
  )

  it.effect("a quorum that is not met is a step, and the acks after it are late, in status too", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("abc", 2)
      const cutOff = () => {
        for (const peer of ["b", "c"]) {
          cluster.cut("a", peer)
          cluster.cut(peer, "a")
        }
      }
      cutOff()
      const { fiber, said, steps } = yield* follow(a)
      yield* TestClock.adjust(2001)
      assert.deepStrictEqual(said(), ["Durable", "NotMet"])
      cluster.heal()
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual([...said()].sort(), ["Durable", "NotMet", "b late", "c late"])
      yield* Fiber.join(fiber)
      const { writeId } = steps.flatMap((step) => (step._tag === "NotMet" ? [step.error] : []))[0]!
      const { committed, verdicts } = yield* a.writer.status(writeId)
      assert.deepStrictEqual([committed, verdicts[Cluster.id("b")]], [true, { _tag: "late" }])
    })
  )

  it.effect.each(["a stamp", "a key of its caller"])("goes on for a write that was there already, by %s", (by) =>
    Effect.gen(function* () {
      // c is asked and answers, and gets nothing for two seconds.
      const { a, cluster } = yield* slow(100_000)
      for (const peer of ["a", "b"]) cluster.cut("c", peer)
      const options = by === "a stamp" ? { stamp: yield* during(a.writer.stamp(put), 100) } : { idempotencyKey: "once" }
      const { writeId } = yield* during(a.writer.commit(put, options), 100)
      const { fiber, said, steps } = yield* follow(a, options)
      yield* after(100)
      assert.deepStrictEqual(said(), ["Committed"])
      cluster.heal()
      yield* TestClock.adjust(8000)
      assert.deepStrictEqual(said(), ["Committed", "c"])
      yield* Fiber.join(fiber)
      const [committed] = steps
      assert.strictEqual(committed?._tag === "Committed" && committed.receipt.writeId, writeId)
    })
  )

  it.effect("what is written nowhere is an error of the stream", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      yield* failure(Stream.runDrain(a.writer.progress({ ...put, key: "" })), "WriteRejected")
      const only = yield* Stream.runCollect(a.writer.progress(put))
      assert.deepStrictEqual(
        only.map(({ _tag }) => _tag),
        ["Durable", "Committed"]
      )
    })
  )

  it.effect("whoever stops following a write leaves nothing behind, and the write stays", () =>
    Effect.gen(function* () {
      const { a } = yield* slow(100_000)
      const steps = a.writer.progress(put).pipe(Stream.takeUntil(({ _tag }) => _tag === "Committed"))
      const fiber = yield* Effect.forkChild(Stream.runCollect(steps))
      yield* TestClock.adjust(20)
      assert.strictEqual((yield* Fiber.join(fiber)).length, 2)
      assert.strictEqual(a.writer.waiting(), 0)
      assert.strictEqual(a.logs.head(a.logs.own).seq, 1)
    })
  )
})
