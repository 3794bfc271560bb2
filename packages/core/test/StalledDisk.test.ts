/** A disk that does not answer. */
import { assert, describe, it } from "@effect/vitest"
import type { Exit } from "effect"
import { Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type QuorumWriter, type Receipt } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

type Outcome = Exit.Exit<Receipt.Receipt, QuorumWriter.CommitError>

const put = (key: string) => Entry.put("n", key, "v")

/** Replicas of which the disk of one stands still, as long as it is told to, and commits on the first. */
const start = Effect.fnUntraced(function* (order: "clock" | "real-time", stalling: "a" | "b" = "a") {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  const store = yield* cluster.storeOf(stalling)
  const said: Array<string> = []
  const logger = Logger.layer([
    Logger.make(({ message }) => void (/\bdisk\b/.test(String(message)) && said.push(String(message))))
  ])
  let release: () => void = () => undefined
  let stands: Promise<void> | undefined
  const answered = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.flatMap(effect, (value) =>
      stands === undefined
        ? Effect.succeed(value)
        : Effect.as(
            Effect.promise(() => stands!),
            value
          )
    )
  cluster.stores.set(stalling, {
    ...store,
    append: (batch) => answered(store.append(batch)),
    ...(store.steps === undefined ? {} : { steps: { ...store.steps, sync: answered(store.steps.sync) } })
  })
  let asked = 0
  for (const peer of ["b", "c"]) {
    cluster.faults.set(`a>${peer}`, (client) => ({
      ...client,
      probe: (probe) =>
        Effect.andThen(
          Effect.sync(() => void asked++),
          client.probe(probe)
        )
    }))
  }
  const of = (id: string) => (id === stalling ? { logger } : {})
  const a = yield* cluster.start("a", { policy: Cluster.policy(3, 2, { order }), ...of("a") })
  const b = yield* cluster.start("b", of("b"))
  yield* cluster.start("c")
  yield* TestClock.adjust(2000)
  yield* during(a.writer.commit(put("before")), 100)
  const outcomes = new Map<string, Outcome>()
  let answers = 0
  const goOn = Effect.promise(() => {
    stands = undefined
    release()
    return new Promise((resolve) => setImmediate(resolve))
  })
  // A replica whose disk stands still does not close.
  yield* Effect.addFinalizer(() => goOn)
  return {
    answers: () => answers,
    /** How many times a peer was asked for its clock. */
    asked: () => asked,
    a,
    b,
    said,
    commit: (key: string): void => {
      a.writer.commitUnsafe(put(key), (outcome) => {
        outcomes.set(key, outcome)
        answers++
      })
    },
    outcomes,
    stop: (): void => {
      stands = new Promise((resolve) => void (release = resolve))
    },
    goOn
  }
})

const tagOf = (outcome: Outcome | undefined) =>
  outcome === undefined
    ? Effect.succeed("none")
    : Effect.match(outcome, { onFailure: ({ _tag }) => _tag, onSuccess: () => "Receipt" })

describe("a disk that stands still", () => {
  for (const order of ["clock", "real-time"] as const) {
    it.effect(`keeps no write waiting beyond its deadline, and each is answered once (${order})`, () =>
      Effect.gen(function* () {
        const { a, answers, commit, goOn, outcomes, stop } = yield* start(order)
        const tags = Effect.forEach(["in it", "behind it", "later"], (key) => tagOf(outcomes.get(key)))
        stop()
        commit("in it")
        for (let i = 0; i < 10; i++) yield* TestClock.adjust(10)
        commit("behind it")
        yield* TestClock.adjust(1500)
        commit("later")
        assert.deepStrictEqual(yield* tags, ["none", "none", "none"])
        yield* TestClock.adjust(1000)
        // What became of the first is not known; the other two were never handed over to the disk, and one may wait on.
        assert.deepStrictEqual(yield* tags, ["WriteUncertain", "NotReady", "none"])
        assert.match(
          yield* Effect.map(Effect.flip(outcomes.get("behind it")!), String),
          /disk has not answered an append for 2 s/
        )
        yield* goOn
        for (let i = 0; i < 10; i++) yield* TestClock.adjust(10)
        assert.deepStrictEqual(yield* tags, ["WriteUncertain", "NotReady", "Receipt"])
        assert.strictEqual(a.logs.head(a.logs.own).seq, 3)
        assert.strictEqual(a.writer.waiting(), 0)
        assert.strictEqual(answers(), 3)
      })
    )
  }

  it.effect("has what waits behind it asked for meanwhile, and appended without another question", () =>
    Effect.gen(function* () {
      const { asked, commit, goOn, outcomes, stop } = yield* start("real-time")
      stop()
      commit("in it")
      for (let i = 0; i < 10; i++) yield* TestClock.adjust(10)
      const before = asked()
      commit("behind it")
      for (let i = 0; i < 10; i++) yield* TestClock.adjust(10)
      const meanwhile = asked() - before
      const answered = outcomes.size
      yield* goOn
      for (let i = 0; i < 10; i++) yield* TestClock.adjust(10)
      assert.strictEqual(answered, 0)
      assert.isAtLeast(meanwhile, 1)
      assert.strictEqual(yield* tagOf(outcomes.get("behind it")), "Receipt")
      assert.strictEqual(asked() - before, meanwhile)
    })
  )

  for (const [whose, stalling] of [
    ["own writes", "a"],
    ["what is pushed to it", "b"]
  ] as const) {
    it.effect(`is said once by the replica whose disk it is, and is in its status: with ${whose}`, () =>
      Effect.gen(function* () {
        const { a, answers, b, commit, goOn, said, stop } = yield* start("clock", stalling)
        const [it, other] = stalling === "a" ? [a, b] : [b, a]
        const stalled = () => it.status().diskStalledMillis
        stop()
        commit("in it")
        yield* TestClock.adjust(990)
        commit("behind it")
        assert.strictEqual(stalled(), 0)
        assert.deepStrictEqual(said, [])
        for (let i = 0; i < 51; i++) yield* TestClock.adjust(10)
        assert.deepStrictEqual(said, [`its disk has not answered for 1 s: an append to ${a.logs.own} waits for it`])
        assert.isAbove(stalled(), 1000)
        for (let i = 0; i < 20; i++) yield* TestClock.adjust(100)
        assert.strictEqual(stalled(), 3500)
        assert.strictEqual(other.status().diskStalledMillis, 0)
        yield* goOn
        for (let i = 0; i < 50; i++) yield* TestClock.adjust(10)
        assert.deepStrictEqual(said.slice(1), ["its disk answers again, after 3.5 s"])
        assert.strictEqual(stalled(), 0)
        assert.strictEqual(answers(), 2)
      })
    )
  }

  it.effect("is said once it is over where it was too short to be seen, and not at all below a second", () =>
    Effect.gen(function* () {
      const { commit, goOn, said, stop } = yield* start("clock")
      // It is looked every half second: the first write is handed over just after one look.
      yield* TestClock.adjust(500 - 90)
      for (const [key, millis] of [
        ["short", 980],
        ["longer", 1400]
      ] as const) {
        stop()
        commit(key)
        yield* TestClock.adjust(millis)
        yield* goOn
        yield* TestClock.adjust(20)
      }
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(said, ["its disk answers again, after 1.4 s"])
    })
  )
})
