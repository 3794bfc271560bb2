/** A write is found by its id on every replica that holds it or gets it, whoever wrote it and whoever started again. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { ClientSession, Entry, LogId, WriteId } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure, pass } from "./support/time.ts"

const put = (key: string) => Entry.put("n", key, "v")
const ids = (acked: ReadonlyArray<{ readonly replica: string }>) => acked.map(({ replica }) => replica).sort()

/** A write of `a` that nobody else has got; then `a` is gone. */
const orphan = Effect.fnUntraced(function* () {
  const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
  for (const peer of ["b", "c"]) {
    cluster.cut("a", peer)
    cluster.cut(peer, "a")
  }
  const { writeId } = yield* during(failure(a.writer.commit(put("k")), "QuorumNotMet"), 2001)
  yield* a.stop
  cluster.heal()
  return { b, c, cluster, writeId }
})

describe("resume", () => {
  it.effect("L16 answers on the replica that wrote it after it has started again", () =>
    Effect.gen(function* () {
      const { cluster, writeId } = yield* orphan()
      const a = yield* cluster.start("a")
      const receipt = yield* during(a.writer.resume(writeId), 2000)
      assert.strictEqual(receipt.writeId, writeId)
      assert.isAtLeast(receipt.acked.length, 2)
    })
  )

  it.effect("answers on a replica that did not write it, and counts itself and the others", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* Cluster.running("abc", 2)
      const { writeId } = yield* during(a.writer.commit(put("k"), { w: 3 }), 10)
      yield* TestClock.adjust(2000)
      yield* a.stop
      yield* TestClock.adjust(2000)
      for (const replica of [b, c]) {
        const receipt = yield* during(replica.writer.resume(writeId), 10)
        assert.deepStrictEqual([receipt.writeId, ...ids(receipt.acked)], [writeId, "b", "c"])
      }
    })
  )

  it.effect("takes `w` alone, and refuses by its name what belongs to the commit", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const { clock, writeId } = yield* during(a.writer.commit(put("k")), 10)
      const stamp = yield* during(a.writer.stamp({ namespace: "n", key: "k" }), 10)
      const others = { stamp, idempotencyKey: "once", after: clock, session: ClientSession.empty, W: 1 }
      for (const [name, value] of Object.entries(others)) {
        const options: { readonly w: number } = Object.assign({ w: 1 }, { [name]: value })
        const { detail } = yield* failure(a.writer.resume(writeId, options), "InvalidPolicy")
        assert.strictEqual(detail, `${name} is no option of resume: the write is made already; give w alone`)
      }
      const none: { readonly w: number } = Object.assign({ w: 1 }, { stamp: undefined })
      assert.strictEqual((yield* a.writer.resume(writeId, none)).writeId, writeId)
    })
  )

  it.effect("waits on a replica that does not hold it yet, and has it fetched from whoever does", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      cluster.faults.set("a>b", (client) => ({ ...client, push: (push) => Effect.delay(client.push(push), 1900) }))
      const [a, b] = yield* Effect.forEach(["a", "b", "c"], (id) => cluster.start(id))
      yield* TestClock.adjust(2010)
      const { writeId } = yield* during(a!.writer.commit(put("k")), 10)
      assert.strictEqual(b!.logs.head(a!.logs.own).seq, 0)
      const receipt = yield* during(b!.writer.resume(writeId), 50)
      assert.deepStrictEqual([receipt.writeId, ...ids(receipt.acked)], [writeId, "b", "c"])
    })
  )

  it.effect("takes as long as it was waited for since it was asked for, and its acks since it was here", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* Cluster.running("abc", 2)
      for (const other of ["a", "c"]) {
        cluster.cut(other, "b")
        cluster.cut("b", other)
      }
      const { writeId } = yield* during(a.writer.commit(put("k")), 100)
      const fiber = yield* Effect.forkChild(Effect.timed(b.writer.resume(writeId)))
      yield* pass(1000)
      cluster.heal()
      yield* pass(3000)
      const [took, { acked, durationMillis }] = yield* Fiber.join(fiber)
      assert.isAbove(durationMillis, 999)
      assert.closeTo(durationMillis, Duration.toMillis(took), 0.001)
      assert.deepStrictEqual(acked[0], { replica: b.id, afterMillis: 0, how: "self" })
    })
  )

  it.effect("is unknown after the deadline where nobody brings it, and does not wait for what cannot come", () =>
    Effect.gen(function* () {
      const { b, writeId } = yield* orphan()
      yield* during(failure(b.writer.resume(writeId), "WriteUnknown"), 2000)
      const { check } = WriteId.place(writeId)
      const stranger = LogId.make(Cluster.id("x"), b.logs.identity.incarnation)
      for (const log of [b.logs.own, stranger]) {
        yield* during(failure(b.writer.resume(WriteId.make(log, 7, check)), "WriteUnknown"), 0)
      }
    })
  )

  it.effect("a receipt reaches further by upgrade, on any replica", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* Cluster.running("abc", 2)
      const receipt = yield* during(a.writer.commit(put("k"), { w: 1 }), 10)
      assert.strictEqual(receipt.policy.w, 1)
      for (const replica of [a, b, c]) {
        const upgraded = yield* during(replica.writer.upgrade(receipt, "all"), 2000)
        assert.deepStrictEqual(
          [upgraded.writeId, upgraded.policy.w, ...ids(upgraded.acked)],
          [receipt.writeId, 3, "a", "b", "c"]
        )
      }
      for (const w of [4, undefined as never]) yield* failure(a.writer.upgrade(receipt, w), "InvalidPolicy")
    })
  )

  it.effect("Bounded: who gives up waiting for it is counted no more, and keeps the replica from nothing", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("ab", 1)
      cluster.cut("a", "b")
      cluster.cut("b", "a")
      const receipt = yield* during(a.writer.commit(put("k")), 10)
      const waits = [a.writer.resume(receipt.writeId, { w: 2 }), a.writer.upgrade(receipt, "all")]
      const waiting = yield* Effect.forEach(waits, (wait) => Effect.forkChild(wait))
      yield* TestClock.adjust(10)
      assert.strictEqual(a.writer.waiting(), 2)
      yield* Fiber.interruptAll(waiting)
      assert.strictEqual(a.writer.waiting(), 0)
      const closing = yield* Effect.forkChild(a.stop)
      yield* TestClock.adjust(10)
      assert.isDefined(closing.pollUnsafe(), "it waits for somebody who is gone")
    })
  )
})
