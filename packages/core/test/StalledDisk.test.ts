/** A disk that does not answer. */
import { assert, describe, it } from "@effect/vitest"
import type { Exit } from "effect"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type QuorumWriter, type Receipt } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

type Outcome = Exit.Exit<Receipt.Receipt, QuorumWriter.CommitError>

const put = (key: string) => Entry.put("n", key, "v")

/** Replicas of which the disk of the first stands still, as long as it is told to, and commits on it. */
const start = Effect.fnUntraced(function* (order: "clock" | "real-time") {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  const store = yield* cluster.storeOf("a")
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
  cluster.stores.set("a", {
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
  const a = yield* cluster.start("a", { policy: Cluster.policy(3, 2, { order }) })
  for (const id of ["b", "c"]) yield* cluster.start(id)
  yield* TestClock.adjust(2000)
  yield* during(a.writer.commit(put("before")), 100)
  const outcomes = new Map<string, Outcome>()
  let answers = 0
  return {
    answers: () => answers,
    /** How many times a peer was asked for its clock. */
    asked: () => asked,
    a,
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
    goOn: Effect.promise(() => {
      stands = undefined
      release()
      return new Promise((resolve) => setImmediate(resolve))
    })
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
})
