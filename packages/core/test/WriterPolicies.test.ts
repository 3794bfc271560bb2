/** Which policy a write waits by, and which writes wait together. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type QuorumPolicy, type ReplicaEvents } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"

const put = (namespace: string) => Entry.put(namespace, "k", "v")

/** Three replicas, of which nobody hears `a` any more. */
const cutOff = Effect.fnUntraced(function* (namespaces: Readonly<Record<string, QuorumPolicy.QuorumPolicy>>) {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  const policy = Cluster.policy(3, 2, { ackTimeout: 300 })
  const a = yield* cluster.start("a", { policy, namespaces })
  for (const id of ["b", "c"]) yield* cluster.start(id)
  yield* TestClock.adjust(1000)
  const ended: Array<ReplicaEvents.ReplicaEvent> = []
  a.events.listen((event) => void (event._tag === "CommitsEnded" && ended.push(event)))
  for (const [from, to] of [
    ["a", "b"],
    ["a", "c"],
    ["b", "a"],
    ["c", "a"]
  ] as const) {
    cluster.cut(from, to)
  }
  return { a, cluster, ended }
})

describe("policies of writes", () => {
  for (const [what, w, options] of [
    ["a policy with w = 1", 1, {}],
    ["w = 1 of one write", 2, { w: 1 }]
  ] as const) {
    it.effect(`L7 answers a write by ${what} without asking any peer for anything, its clock neither`, () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b", "c"], w)
        const a = yield* cluster.start("a", { policy: Cluster.policy(3, w, { order: "real-time" }) })
        for (const id of ["b", "c"]) yield* cluster.start(id)
        yield* TestClock.adjust(1000)
        cluster.cut("a", "b")
        cluster.cut("a", "c")
        const receipt = yield* during(a.writer.commit(put("usual"), options), 1)
        assert.deepStrictEqual<ReadonlyArray<string>>(
          receipt.acked.map(({ replica }) => replica),
          ["a"]
        )
      })
    )
  }

  it.effect("writes of one append that ask for different w are answered each by its own", () =>
    Effect.gen(function* () {
      const { a } = yield* cutOff({})
      const one = yield* Effect.forkChild(a.writer.commit(put("usual"), { w: 1 }))
      const two = yield* Effect.forkChild(failure(a.writer.commit(put("usual")), "QuorumNotMet"))
      const all = yield* Effect.forkChild(failure(a.writer.commit(put("usual"), { w: "all" }), "QuorumNotMet"))
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        (yield* Fiber.join(one)).acked.map(({ replica }) => replica),
        [a.id]
      )
      yield* TestClock.adjust(300)
      const errors = [yield* Fiber.join(two), yield* Fiber.join(all)]
      assert.deepStrictEqual(
        errors.map(({ needed, writeId }) => [needed, writeId]),
        [
          [2, yield* Cluster.idAt(a.logs, 2)],
          [3, yield* Cluster.idAt(a.logs, 3)]
        ]
      )
    })
  )

  it.effect("writes of one append whose policies differ in the timeout alone end each at its own deadline", () =>
    Effect.gen(function* () {
      const { a } = yield* cutOff({ patient: Cluster.policy(3, 2, { ackTimeout: 900 }) })
      const brief = yield* Effect.forkChild(failure(a.writer.commit(put("usual")), "QuorumNotMet"))
      const patient = yield* Effect.forkChild(failure(a.writer.commit(put("patient")), "QuorumNotMet"))
      yield* TestClock.adjust(301)
      yield* during(Fiber.join(brief), 0)
      assert.isUndefined(patient.pollUnsafe())
      yield* TestClock.adjust(599)
      assert.isUndefined(patient.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* during(Fiber.join(patient), 0)
    })
  )

  it.effect("writes of one append wait together when the numbers of their policies are equal", () =>
    Effect.gen(function* () {
      const { a, ended } = yield* cutOff({ twin: Cluster.policy(3, 2, { ackTimeout: "300 millis" }) })
      const writes = [
        a.writer.commit(put("usual")),
        a.writer.commit(put("twin")),
        a.writer.commit(put("usual"), { w: "majority" }),
        a.writer.commit(put("twin"), { w: { allBut: 1 } })
      ]
      const fibers = yield* Effect.all(writes.map((write) => Effect.forkChild(failure(write, "QuorumNotMet"))))
      yield* TestClock.adjust(301)
      for (const fiber of fibers) yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        ended.map((event) => event._tag === "CommitsEnded" && [event.outcome, event.writes]),
        [["quorum_not_met", 4]]
      )
    })
  )

  it.effect("a namespace that is named like what every object has goes by the usual policy", () =>
    Effect.gen(function* () {
      const { a } = yield* cutOff({})
      for (const namespace of ["constructor", "__proto__", "toString"]) {
        const error = yield* during(failure(a.writer.commit(put(namespace)), "QuorumNotMet"), 301)
        assert.strictEqual(error.needed, 2)
      }
    })
  )
})
