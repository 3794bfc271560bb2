/** Who counts for a quorum: first starts and lost stores. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import type { LogId } from "../src/index.ts"
import { Entry } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { apart, together } from "./support/copies.ts"
import { says } from "./support/greeting.ts"
import { during, failure } from "./support/time.ts"

const put = (key: string, value = "v") => Entry.put("notes", key, value)

const blankSet = Effect.fnUntraced(function* (ids: string, up = ids) {
  const cluster = yield* Cluster.make([...ids], Math.floor(ids.length / 2) + 1)
  for (const id of ids) cluster.doubts.set(id, "blank")
  const replicas = yield* Effect.forEach([...up], (id) => cluster.start(id))
  return { cluster, replicas, a: replicas[0]!, b: replicas[1]! }
})

describe("a first start", () => {
  it.effect("begins as soon as all members have met, and commits", () =>
    Effect.gen(function* () {
      const { a, replicas } = yield* blankSet("abc")
      yield* during(a.writer.commit(put("k")), 500)
      for (const { membership } of replicas) assert.isTrue(membership.isVoting())
    })
  )

  it.effect("waits for the last member, whose coming begins it for all", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* blankSet("abc", "ab")
      yield* TestClock.adjust(5000)
      for (const { membership } of [a, b]) {
        assert.isFalse(membership.isVoting())
        assert.strictEqual(
          membership.obstacle(),
          "its store is new: all members have to meet for a first start, or 2 voting members have to answer; it waits for c"
        )
      }
      for (const replica of [a, b]) {
        const { readable, voting } = replica.status()
        assert.deepStrictEqual({ readable, voting }, { readable: false, voting: false })
      }
      yield* failure(a.records.read("notes", "k"), "NotReady")
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(2500)
      for (const { membership } of [a, b, c]) assert.isTrue(membership.isVoting())
      yield* during(a.writer.commit(put("k")), 100)
    })
  )

  it.effect("of some members begins when an operator gives the others up, and says what may be lost", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* blankSet("abc", "ab")
      yield* TestClock.adjust(1000)
      assert.include(yield* a.membership.recover([Cluster.id("c")]), "what only c holds")
      yield* TestClock.adjust(0)
      assert.isTrue(a.membership.isVoting())
      // One that votes is not enough for the next.
      assert.isFalse(b.membership.isVoting())
      yield* b.membership.recover([Cluster.id("c")])
      yield* TestClock.adjust(1100)
      yield* during(a.writer.commit(put("k")), 1000)
      // The third comes to a set that has begun.
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(2500)
      assert.isTrue(c.membership.isVoting())
      assert.isTrue(Option.isSome(yield* c.records.read("notes", "k")))
    })
  )

  it.effect("of some members gives nobody up who is none, who can be asked, or when nothing is waited for", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* blankSet("abc", "ab")
      yield* TestClock.adjust(1000)
      const refusal = (ids: ReadonlyArray<string>) =>
        Effect.map(Effect.flip(a.membership.lossOf(ids.map(Cluster.id))), ({ message, reason }) => [reason, message])
      assert.deepStrictEqual(yield* refusal(["x"]), [
        "invalid",
        "givenUp: x is no peer of this replica: its peers are b, c"
      ])
      assert.deepStrictEqual(yield* refusal(["a"]), [
        "invalid",
        "givenUp: a is no peer of this replica: its peers are b, c"
      ])
      assert.deepStrictEqual(yield* refusal([]), ["invalid", "givenUp: name those of b, c that will never come"])
      assert.include(yield* a.membership.lossOf([Cluster.id("c")]), "what only c holds")
      yield* TestClock.adjust(1000)
      assert.isFalse(a.membership.isVoting())
      yield* cluster.start("c")
      yield* TestClock.adjust(2500)
      assert.deepStrictEqual(yield* refusal(["c"]), ["needless", "givenUp: this replica votes, and waits for nobody"])
    })
  )

  it.effect("of one member is over at once", () =>
    Effect.gen(function* () {
      const { a } = yield* blankSet("a")
      yield* during(a.writer.commit(put("k")), 1)
    })
  )

  it.effect("is told from a wipe after a restart too", () =>
    Effect.gen(function* () {
      const { a, cluster, replicas } = yield* blankSet("abc")
      yield* during(a.writer.commit(put("k")), 500)
      for (const { stop } of replicas) yield* during(stop, 5000)
      yield* TestClock.adjust(5000)
      const again = yield* Effect.forEach(["a", "b"], (id) => cluster.start(id))
      yield* TestClock.adjust(1500)
      for (const { membership } of again) assert.isTrue(membership.isVoting())
    })
  )
})

/** `a` commits with `c`, which loses its store then; `b` was away and is reached only by whom a test lets through. */
const lost = Effect.gen(function* () {
  const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
  apart(cluster, "b", "ac")
  yield* during(a.writer.commit(put("k", "acknowledged")), 1000)
  yield* during(a.writer.commit(put("l")), 1000)
  yield* during(c.stop, 5000)
  cluster.wipe("c")
  yield* TestClock.adjust(4000)
  return { a, b, cluster, old: c }
})

describe("a replica that lost its store", () => {
  it.effect("L55 counts for no write and serves no read before as many as it takes have answered", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* lost
      apart(cluster, "c", "a")
      together(cluster, "b", "c")
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(5000)
      // It has all that b has, and b never heard of what c acked.
      assert.isFalse(c.membership.isVoting())
      yield* failure(c.records.read("notes", "k"), "NotReady")
      const { alive, verdicts } = yield* during(failure(b.writer.commit(put("m")), "QuorumUnavailable"), 5000)
      assert.deepStrictEqual([alive, verdicts[c.id]], [1, { _tag: "refused", detail: "it does not vote" }])
      together(cluster, "c", "a")
      yield* TestClock.adjust(5000)
      assert.isTrue(c.membership.isVoting())
      const read = Option.getOrThrow(yield* c.records.read("notes", "k"))
      assert.strictEqual(new TextDecoder().decode(read.value), "acknowledged")
      yield* during(b.writer.commit(put("k")), 2000)
      assert.isTrue(a.membership.isVoting())
    })
  )

  it.effect("L57 is not helped by an answer of a member that has lost its own store since", () =>
    Effect.gen(function* () {
      const { b, cluster } = yield* lost
      apart(cluster, "c", "a")
      together(cluster, "b", "c")
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(5000)
      assert.isFalse(c.membership.isVoting())
      yield* during(b.stop, 5000)
      cluster.wipe("b")
      // a hears of it, and c of that from a, whose answer would be the second.
      apart(cluster, "b", "c")
      together(cluster, "b", "a")
      const again = yield* cluster.start("b")
      yield* TestClock.adjust(3000)
      together(cluster, "c", "a")
      yield* TestClock.adjust(10_000)
      assert.isFalse(c.membership.isVoting())
      assert.isFalse(again.membership.isVoting())
    })
  )

  it.effect("L55 is not helped by an answer to another life of its own", () =>
    Effect.gen(function* () {
      const { a } = yield* blankSet("abc", "a")
      const said = (replica: string) => ({ ...says("00000000000000ff"), replica: Cluster.id(replica), vector: [] })
      for (const [asked, isVoting] of [
        ["00000000000000aa" as LogId.Incarnation, false],
        [a.logs.identity.incarnation, true]
      ] as const) {
        for (const peer of ["b", "c"]) yield* a.membership.answered(says(asked), said(peer))
        yield* TestClock.adjust(1)
        assert.strictEqual(a.membership.isVoting(), isVoting)
      }
    })
  )

  it.effect("L55 does not forget by a restart that it may lack something", () =>
    Effect.gen(function* () {
      const { cluster } = yield* lost
      apart(cluster, "c", "a")
      together(cluster, "b", "c")
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(2000)
      yield* during(c.stop, 5000)
      const again = yield* cluster.start("c")
      yield* TestClock.adjust(5000)
      assert.isFalse(again.membership.isVoting())
    })
  )

  it.effect("is known by its new incarnation to all, after restarts of those who heard of it too", () =>
    Effect.gen(function* () {
      const { b, cluster, old } = yield* lost
      apart(cluster, "c", "a")
      together(cluster, "b", "c")
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(2000)
      yield* during(b.stop, 5000)
      yield* during(c.stop, 5000)
      together(cluster, "b", "a")
      const again = yield* cluster.start("b")
      assert.strictEqual(again.membership.lives()[c.id]?.incarnation, c.logs.identity.incarnation)
      assert.notStrictEqual(c.logs.identity.incarnation, old.logs.identity.incarnation)
    })
  )

  it.effect("waits again for a member that was given up, once that one is back and votes", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* lost
      apart(cluster, "c", "ab")
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(5000)
      yield* c.membership.recover([a.id])
      together(cluster, "c", "a")
      yield* TestClock.adjust(5000)
      assert.isFalse(c.membership.isVoting())
      assert.include(c.membership.obstacle(), "2 voting members have to answer, and 1 did; it waits for b")
      const { message, reason } = yield* Effect.flip(c.membership.recover([a.id]))
      assert.strictEqual(reason, "needless")
      assert.include(message, "a votes and can be reached")
      together(cluster, "c", "b")
      yield* TestClock.adjust(5000)
      assert.isTrue(c.membership.isVoting())
      assert.isTrue(b.membership.isVoting())
    })
  )
})

describe("the acks of a store that is gone", () => {
  for (const restarts of [false, true]) {
    it.effect(
      `L57 complete no quorum beside those of a member that knows of its successor${restarts ? ", and has restarted since" : ""}`,
      () =>
        Effect.gen(function* () {
          const ids = ["a", "b", "c", "d", "e"]
          const cluster = yield* Cluster.make(ids, 3)
          const [a, b, c] = yield* Effect.forEach(ids, (id) =>
            cluster.start(id, { policy: Cluster.policy(5, 3, { ackTimeout: 30_000 }) })
          )
          yield* TestClock.adjust(1000)
          // Only c hears of the write, and acks it; then its store is lost.
          apart(cluster, "a", "bde")
          const write = yield* Effect.forkChild(Effect.flip(a!.writer.commit(put("k"))))
          yield* TestClock.adjust(100)
          apart(cluster, "a", "c")
          yield* during(c!.stop, 5000)
          cluster.wipe("c")
          // What b, d and e have is all that the new store of c gets.
          yield* TestClock.adjust(4000)
          const next = yield* cluster.start("c")
          yield* TestClock.adjust(4000)
          assert.isTrue(next.membership.isVoting())
          if (restarts) {
            yield* during(b!.stop, 5000)
            yield* cluster.start("b")
          }
          together(cluster, "a", "b")
          cluster.cut("b", "c")
          yield* TestClock.adjust(4000)
          assert.strictEqual(a!.peers.get(Cluster.id("b")).watermarks.get(a!.logs.own)?.seq, 1)
          yield* TestClock.adjust(30_000)
          const error = yield* Fiber.join(write)
          assert(error._tag === "QuorumNotMet")
          assert.strictEqual(error.got, 2)
        })
    )
  }
})

describe("a replica that says that it does not vote", () => {
  it.effect("L57 counts for nothing where it said so, also before it is asked there", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* Cluster.running("ab", 1)
      cluster.cut("b", "a")
      cluster.faults.set("a>b", (client) => ({
        ...client,
        hello: (request) => client.hello({ ...request, voting: false })
      }))
      yield* during(a.writer.commit(put("k")), 100)
      assert.strictEqual(b.peers.get(a.id).watermarks.get(a.logs.own)?.seq, 1)
      cluster.cut("a", "b")
      yield* TestClock.adjust(10_000)
      cluster.join("a", "b")
      yield* TestClock.adjust(10_000)
      assert.isFalse(b.peers.get(a.id).voting)
      assert.strictEqual(b.peers.get(a.id).watermarks.size, 0)
    })
  )
})
