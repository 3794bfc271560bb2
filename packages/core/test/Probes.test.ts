/** What is asked of a peer's clock, and which calls an answer covers. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { HybridLogicalClock, ReplicaSet } from "../src/index.ts"
import { PeerProtocol, ReplicaStore } from "../src/adapter.ts"
import * as ReplicaLogs from "../src/log/ReplicaLogs.ts"
import * as PeerMethods from "../src/peer/PeerMethods.ts"
import * as Probes from "../src/peer/Probes.ts"
import type * as Asker from "../src/peer/internal/Asker.ts"
import * as ProbeLoop from "../src/peer/internal/ProbeLoop.ts"
import * as Cluster from "./support/cluster.ts"

const b = Cluster.id("b")
const c = Cluster.id("c")
const key = (name: string) => ({ namespace: "n", key: name })

/** An asker of `b`, and calls that wait: each by its mark and its key, `room` of which fit into one question. */
const asking = Effect.fnUntraced(function* (room = 10, members = ["a", "b", "c"]) {
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
  const context = yield* Layer.build(
    Probes.layer.pipe(
      Layer.provideMerge(ReplicaLogs.layer),
      Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, store)),
      Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members }))
    )
  )
  const probes = Context.get(context, Probes.Probes)
  const calls: Array<{ readonly mark: number; readonly key: string }> = []
  probes.serve({
    newest: () => calls.at(-1)?.mark,
    oldest: () => calls[0]?.mark,
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
  const other = probes.asker(c)
  const answer = (far: boolean) => ({ clock: HybridLogicalClock.zero, members: 0, far, versions: [] })
  return {
    asker,
    other,
    probes,
    answer,
    allAnswered: () => void calls.splice(0),
    call: (name: string) => {
      const call = { mark: probes.mark(), key: name }
      calls.push(call)
      return call.mark
    },
    answered: () => probes.tracker().answered.get(b) ?? 0
  }
})

/** Whether an effect is done at once. */
const isDone = (effect: Effect.Effect<boolean>) =>
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

describe("of two peers", () => {
  /** Who waits to be woken, and whether it was, and with what. */
  const resting = Effect.fnUntraced(function* (asker: Asker.Asker) {
    const fiber = yield* Effect.forkChild(asker.wanted, { startImmediately: true })
    return () => {
      const exit = fiber.pollUnsafe()
      return exit !== undefined && Exit.isSuccess(exit) ? exit.value : undefined
    }
  })

  it.effect("one is asked, at once when all who are called together have been called", () =>
    Effect.gen(function* () {
      const { asker, call, other, probes } = yield* asking()
      const first = yield* resting(asker)
      const second = yield* resting(other)
      call("x")
      probes.wake(true)
      assert.deepStrictEqual([first(), second()], [true, undefined])
      probes.wake()
      assert.deepStrictEqual([first(), second()], [true, undefined])
    })
  )

  it.effect("the other is asked for calls that the question under way does not serve", () =>
    Effect.gen(function* () {
      const { asker, call, other, probes } = yield* asking()
      const second = yield* resting(other)
      call("x")
      asker.next()
      probes.wake()
      assert.isUndefined(second())
      call("y")
      probes.wake()
      assert.isFalse(second())
    })
  )

  it.effect("both are asked when somebody waits for long, and the one that was slow is asked last from then on", () =>
    Effect.gen(function* () {
      const { allAnswered, answer, asker, call, other, probes } = yield* asking()
      const slow = yield* resting(asker)
      const quick = yield* resting(other)
      call("x")
      probes.wake()
      assert.deepStrictEqual([slow(), quick()], [false, undefined])
      const late = asker.next()
      yield* TestClock.adjust(4)
      assert.isUndefined(quick())
      yield* TestClock.adjust(1)
      assert.isFalse(quick())
      other.answered(other.next(), answer(false))
      asker.answered(late, answer(false))
      allAnswered()
      probes.rest()
      const slowAgain = yield* resting(asker)
      const quickAgain = yield* resting(other)
      call("y")
      probes.wake()
      assert.deepStrictEqual([slowAgain(), quickAgain()], [undefined, false])
    })
  )

  it.effect("both are asked after some questions, and the one that answers first is asked first from then on", () =>
    Effect.gen(function* () {
      const { allAnswered, answer, asker, call, other, probes } = yield* asking()
      const ask = Effect.fnUntraced(function* () {
        const first = yield* resting(asker)
        const second = yield* resting(other)
        call("x")
        probes.wake()
        allAnswered()
        probes.rest()
        return [first(), second()]
      })
      const answered = (who: Asker.Asker): void => who.answered(who.next(), answer(false))
      for (let i = 0; i < 64; i++) {
        assert.deepStrictEqual(yield* ask(), [false, undefined])
        answered(asker)
      }
      assert.deepStrictEqual(yield* ask(), [false, false])
      answered(other)
      answered(asker)
      assert.deepStrictEqual(yield* ask(), [undefined, false])
    })
  )

  it.effect("of four, two are asked, also after one of them answered twice while all were asked", () =>
    Effect.gen(function* () {
      const { allAnswered, answer, asker, call, other, probes } = yield* asking(10, ["a", "b", "c", "d", "e"])
      const others = [other, probes.asker(Cluster.id("d")), probes.asker(Cluster.id("e"))]
      for (let i = 0; i < 64; i++) asker.next()
      call("x")
      probes.wake()
      for (let i = 0; i < 2; i++) asker.answered(asker.next(), answer(false))
      other.answered(other.next(), answer(false))
      allAnswered()
      probes.rest()
      const woken = yield* Effect.forEach([asker, ...others], resting)
      call("y")
      probes.wake()
      assert.deepStrictEqual(
        woken.map((is) => is()),
        [false, false, undefined, undefined]
      )
    })
  )

  it.effect(
    "of four, the others are asked for a call that came while all were asked, when the two first are silent",
    () =>
      Effect.gen(function* () {
        const { answer, asker, call, other, probes } = yield* asking(10, ["a", "b", "c", "d", "e"])
        const others = [probes.asker(Cluster.id("d")), probes.asker(Cluster.id("e"))]
        for (let i = 0; i < 64; i++) asker.next()
        yield* TestClock.adjust(5)
        call("x")
        probes.wake()
        const questions = [asker, other].map((each) => [each, each.next()] as const)
        call("y")
        for (const [each, question] of questions) each.answered(question, answer(false))
        for (const each of [asker, other]) assert.isFalse(yield* each.wanted)
        for (const each of [asker, other]) each.next()
        const woken = yield* Effect.forEach(others, resting)
        yield* TestClock.adjust(5)
        assert.deepStrictEqual(
          woken.map((is) => is()),
          [false, false]
        )
      })
  )

  it.effect("one whose connection ends while both are asked is asked no more, and counts for nothing", () =>
    Effect.gen(function* () {
      const { allAnswered, answer, asker, call, other, probes } = yield* asking()
      for (let i = 0; i < 64; i++) asker.next()
      call("x")
      probes.wake()
      asker.answered(asker.next(), answer(false))
      asker.end()
      allAnswered()
      probes.rest()
      const second = yield* resting(other)
      call("y")
      probes.wake()
      assert.isFalse(second())
    })
  )

  it.effect("the other is asked at once when one does not answer, or its connection ends", () =>
    Effect.gen(function* () {
      for (const how of ["unanswered", "end"] as const) {
        const { asker, call, other, probes } = yield* asking()
        const second = yield* resting(other)
        call("x")
        asker.next()
        probes.wake()
        assert.isUndefined(second())
        asker[how]()
        assert.isFalse(second(), how)
      }
    })
  )

  it.effect("nobody is asked when no call waits any more that was called before", () =>
    Effect.gen(function* () {
      const { allAnswered, asker, call, other, probes } = yield* asking()
      const second = yield* resting(other)
      call("x")
      probes.wake()
      asker.next()
      allAnswered()
      call("y")
      yield* TestClock.adjust(5)
      // It is asked for the new call, and the first is not taken for slow.
      assert.isFalse(second())
      other.next()
      allAnswered()
      const first = yield* resting(asker)
      call("z")
      probes.wake()
      assert.isFalse(first())
    })
  )

  it.effect("the other is asked when the loop over a connection ends with a question under way", () =>
    Effect.gen(function* () {
      const { call, other, probes } = yield* asking()
      const broken = yield* Deferred.make<never, PeerProtocol.PeerUnreachable>()
      const unreachable = new PeerProtocol.PeerUnreachable({
        peer: b,
        reason: "refused",
        detail: "the connection ended"
      })
      const client = PeerMethods.make<PeerProtocol.PeerUnreachable>(() => Deferred.await(broken))
      const loop = yield* ProbeLoop.run({
        peer: b,
        client,
        session: "1",
        timeoutMillis: 1000,
        members: () => 0,
        greetAgain: () => undefined
      }).pipe(Effect.provideService(Probes.Probes, probes), Effect.forkChild)
      call("x")
      yield* Effect.yieldNow
      const second = yield* resting(other)
      probes.wake()
      assert.isUndefined(second())
      yield* Deferred.fail(broken, unreachable)
      yield* Effect.exit(Fiber.join(loop))
      assert.isFalse(second())
    })
  )
})
