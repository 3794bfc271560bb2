/** Older copies of a store, and what else is told of lives that are over. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, LogId } from "../src/index.ts"
import { PeerProtocol, ReplicaStore } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { apart, copyOf, together } from "./support/copies.ts"
import { says } from "./support/greeting.ts"
import { during } from "./support/time.ts"

const put = (key: string) => Entry.put("notes", key, "v")

describe("an older copy of a store", () => {
  it.effect("L53 is another life, and does not vote before it holds what it acked", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      yield* during(a.writer.commit(put("1")), 100)
      const older = yield* copyOf(yield* cluster.storeOf("c"), "other_place")
      yield* during(a.writer.commit(put("2")), 100)
      yield* during(c.stop, 5000)
      cluster.stores.set("c", older)
      apart(cluster, "c", "ab")
      const again = yield* cluster.start("c")
      yield* TestClock.adjust(5000)
      assert.isFalse(again.membership.isVoting())
      together(cluster, "c", "ab")
      yield* TestClock.adjust(5000)
      assert.isTrue(again.membership.isVoting())
      assert.deepStrictEqual(again.logs.head(a.logs.own), a.logs.head(a.logs.own))
      assert.isTrue(b.peers.get(c.id).voting)
    })
  )

  it.effect("L53 that was replaced by an empty one, and is put back, is a former life after any boot", () =>
    Effect.gen(function* () {
      const { a, c, cluster } = yield* Cluster.running("abc", 2)
      yield* during(a.writer.commit(put("1")), 100)
      yield* during(c.stop, 5000)
      const before = yield* cluster.storeOf("c")
      cluster.wipe("c")
      const between = yield* cluster.start("c")
      yield* TestClock.adjust(5000)
      assert.isTrue(between.membership.isVoting())
      yield* during(a.writer.commit(put("2"), { w: "all" }), 100)
      yield* during(between.stop, 5000)
      // The machine was booted since, and so often that the clock says nothing.
      let incarnation = before.identity.incarnation
      for (let boots = 0; boots < 5; boots++) incarnation = (yield* LogId.incarnations)(incarnation, "boot")
      const back = yield* ReplicaStore.makeMemory({ ...before.identity, incarnation, doubt: "other_boot" })
      for (const { log } of yield* before.watermarks) {
        yield* back.append(Option.getOrThrow(yield* before.read(log, 0, 1_000_000)))
      }
      cluster.stores.set("c", back)
      const again = yield* cluster.start("c")
      yield* TestClock.adjust(5000)
      assert.notStrictEqual(again.logs.identity.incarnation, incarnation)
      assert.isTrue(again.logs.own > between.logs.own)
      assert.isTrue(again.membership.isVoting())
      assert.deepStrictEqual(again.logs.head(a.logs.own), a.logs.head(a.logs.own))
    })
  )

  for (const [doubt, what] of [
    ["none", "that its place and boot do not give away"],
    ["other_boot", "that was put back in its place before a boot"]
  ] as const) {
    it.effect(`${what} is found by what a peer remembers of its acks`, () =>
      Effect.gen(function* () {
        const { a, c, cluster } = yield* Cluster.running("abc", 2)
        const older = yield* copyOf(yield* cluster.storeOf("c"), doubt)
        for (const key of ["1", "2"]) yield* during(a.writer.commit(put(key)), 100)
        yield* TestClock.adjust(6000)
        yield* during(c.stop, 5000)
        cluster.stores.set("c", older)
        apart(cluster, "c", "b")
        const { incarnation } = older.identity
        const again = yield* cluster.start("c")
        yield* TestClock.adjust(3000)
        assert.notStrictEqual(again.logs.own, LogId.make(c.id, incarnation))
        assert.isFalse(again.membership.isVoting())
        together(cluster, "c", "b")
        yield* TestClock.adjust(5000)
        assert.isTrue(again.membership.isVoting())
        assert.deepStrictEqual(again.logs.head(a.logs.own), a.logs.head(a.logs.own))
      })
    )
  }
})

describe("former lives of a replica", () => {
  it.effect("of which each peer knows another are no other process, whatever order they are heard of in", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* Cluster.running("abc", 2)
      const former = (incarnation: string) => ({ ...says(incarnation), startedAt: -1 })
      const refusedBy = (peer: typeof b, incarnation: string) =>
        a.membership.refused(
          peer.id,
          new PeerProtocol.HandshakeRefused({
            reason: "stale_incarnation",
            detail: "a newer life of a is known",
            newest: former(incarnation)
          })
        )
      yield* refusedBy(b, "0fffffffffff0001")
      yield* refusedBy(c, "1fffffffffff0001")
      assert.isAbove(a.logs.own.localeCompare("a@1fffffffffff0001"), 0)
      yield* TestClock.adjust(5000)
      assert.isUndefined(a.membership.obstacle())
      yield* during(a.writer.commit(put("k")), 1000)
    })
  )
})
