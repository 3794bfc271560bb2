/** What a replica answers its peers, and what it says of a question that it may not answer. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { PeerProtocol } from "../src/adapter.ts"
import { Entry, type LogId, WriteId } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { says } from "./support/greeting.ts"
import { during, failure } from "./support/time.ts"

const incarnation = "00000000000000bb" as LogId.Incarnation
const hello: PeerProtocol.Hello = {
  version: PeerProtocol.versions[0],
  cluster: "test",
  replica: Cluster.id("b"),
  ...says(incarnation),
  vector: [],
  sentAt: 0
}
const question = { namespace: "n", key: "k", have: null, confirm: null }

/** `a` alone of three, and a session as `b`. */
const greeted = Effect.fnUntraced(function* (isBlank = false) {
  const cluster = yield* Cluster.make(["a", "b", "c"], 1)
  if (isBlank) cluster.doubts.set("a", "blank")
  const a = yield* cluster.start("a")
  yield* TestClock.adjust(3000)
  const client = yield* cluster.network.connect(a.id)
  const { session } = yield* client.hello(hello)
  return { a, client, session }
})

describe("a replica that does not vote", () => {
  it.effect("RecoveringDoesNotVote L55 answers no read, no probe and no verification", () =>
    Effect.gen(function* () {
      const { a, client, session } = yield* greeted(true)
      assert.isFalse(a.membership.isVoting())
      yield* failure(client.read({ session, ...question }), "NotVoting")
      yield* failure(client.probe({ session, keys: [] }), "NotVoting")
      const writeId = WriteId.make(a.logs.own, 1, "00000000" as never)
      yield* failure(client.verify({ session, writeId }), "NotVoting")
      // What it holds it gives to everybody.
      assert.isNull((yield* client.pull({ session, log: a.logs.own, after: 0, maxBytes: 1 })).batch)
    })
  )

  it.effect("answers them all once it votes", () =>
    Effect.gen(function* () {
      const { client, session } = yield* greeted()
      assert.isNull((yield* client.read({ session, ...question })).head.newest)
      assert.deepStrictEqual((yield* client.probe({ session, keys: [] })).versions, [])
    })
  )
})

describe("an answer to a read", () => {
  it.effect("has the value, unless the caller has that version of it", () =>
    Effect.gen(function* () {
      const { a, client, session } = yield* greeted()
      yield* during(a.writer.commit(Entry.put("n", "k", "value"), { w: 1 }), 3000)
      const first = yield* client.read({ session, ...question })
      assert.strictEqual(new TextDecoder().decode(first.value), "value")
      const { clock, tie, unprobed } = first.head.newest!
      for (const [by, length] of [
        [-1, 5],
        [0, 0],
        [1, 5]
      ] as const) {
        const have = { clock: { ...clock, wallTime: clock.wallTime + by }, tie, unprobed }
        assert.lengthOf((yield* client.read({ session, ...question, have })).value, length, `${by}`)
      }
    })
  )

  it.effect("waits for the write that it is to confirm no longer than the caller would", () =>
    Effect.gen(function* () {
      const { a, client, session } = yield* greeted()
      const writeId = WriteId.make(a.logs.own, 9, "00000000" as never)
      for (const [withinMillis, millis] of [
        [60_000, 1500],
        [700, 700]
      ] as const) {
        const read = yield* Effect.forkChild(client.read({ session, ...question, confirm: { writeId, withinMillis } }))
        yield* TestClock.adjust(millis - 1)
        assert.isUndefined(read.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.isFalse((yield* Fiber.join(read)).head.confirmed)
      }
    })
  )
})
