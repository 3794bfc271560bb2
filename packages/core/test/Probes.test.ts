/** What is asked of a peer's clock, and which calls an answer covers. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { HybridLogicalClock, ReplicaSet } from "../src/index.ts"
import { ReplicaStore } from "../src/adapter.ts"
import * as ReplicaLogs from "../src/log/ReplicaLogs.ts"
import * as Probes from "../src/peer/Probes.ts"
import * as Cluster from "./support/cluster.ts"

const b = Cluster.id("b")
const key = (name: string) => ({ namespace: "n", key: name })

/** An asker of `b`, and calls that wait: each by its mark and its key, `room` of which fit into one question. */
const asking = Effect.fnUntraced(function* (room = 10) {
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
  const context = yield* Layer.build(
    Probes.layer.pipe(
      Layer.provideMerge(ReplicaLogs.layer),
      Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, store)),
      Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a", "b", "c"] }))
    )
  )
  const probes = Context.get(context, Probes.Probes)
  const calls: Array<{ readonly mark: number; readonly key: string }> = []
  probes.serve({
    newest: () => calls.at(-1)?.mark,
    keys: (from) => {
      const asked = calls.filter(({ mark }) => mark >= from)
      return {
        keys: asked.slice(0, room).map((call) => key(call.key)),
        upTo: asked[room]?.mark ?? Number.POSITIVE_INFINITY
      }
    },
    onAnswer: () => undefined
  })
  const asker = probes.asker(b)
  const answer = (far: boolean) => ({ clock: HybridLogicalClock.zero, members: 0, far, versions: [] })
  return {
    asker,
    answer,
    call: (name: string) => {
      const call = { mark: probes.mark(), key: name }
      calls.push(call)
      return call.mark
    },
    answered: () => probes.tracker().answered.get(b) ?? 0
  }
})

/** Whether an effect is done at once. */
const isDone = (effect: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* Effect.yieldNow
    return fiber.pollUnsafe() !== undefined
  })

describe("a peer", () => {
  it.effect("is asked while a call waits that no question was asked for, and not without one", () =>
    Effect.gen(function* () {
      const { asker, call } = yield* asking()
      assert.isFalse(yield* isDone(asker.wanted))
      call("x")
      assert.isTrue(yield* isDone(asker.wanted))
      asker.next()
      assert.isFalse(yield* isDone(asker.wanted))
      call("y")
      assert.isTrue(yield* isDone(asker.wanted))
    })
  )

  it.effect("that keeps versions no clock follows answers nothing before it was asked with the keys", () =>
    Effect.gen(function* () {
      const { answer, answered, asker, call } = yield* asking()
      const mark = call("x")
      const first = asker.next()
      assert.deepStrictEqual(first.keys, [])
      asker.answered(first, answer(true))
      assert.strictEqual(answered(), 0)
      assert.isTrue(yield* isDone(asker.wanted))
      const second = asker.next()
      assert.deepStrictEqual(second.keys, [key("x")])
      asker.answered(second, answer(true))
      assert.isAbove(answered(), mark)
    })
  )

  it.effect("is asked again for the calls whose keys did not fit, which the answer before does not cover", () =>
    Effect.gen(function* () {
      const { answer, answered, asker, call } = yield* asking(1)
      const first = call("x")
      const second = call("y")
      asker.answered(asker.next(), answer(true))
      const question = asker.next()
      assert.deepStrictEqual([question.keys, question.mark], [[key("x")], second])
      asker.answered(question, answer(true))
      assert.isTrue(answered() > first && answered() <= second)
      assert.isTrue(yield* isDone(asker.wanted))
      asker.answered(asker.next(), answer(true))
      assert.isAbove(answered(), second)
      assert.isFalse(yield* isDone(asker.wanted))
    })
  )
})
