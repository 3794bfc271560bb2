import { assert, describe, it } from "@effect/vitest"
import { Entry, ReplicaId } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { FaultyReplicaStore } from "@quorum/testing"
import { Effect } from "effect"
import * as Definitions from "../src/Definitions.ts"
import * as Replicas from "./support/replicas.ts"

const { commit, pass } = Replicas

/** Three replicas that are connected. */
const three = Effect.gen(function* () {
  const set = yield* Replicas.make
  const a = yield* set.start("a")
  const b = yield* set.start("b")
  const c = yield* set.start("c")
  yield* pass(2000)
  return { set, a, b, c }
})

describe("ReplicaMetrics", () => {
  it.effect("counts a commit, its acks and its append, and measures them (law L44)", () =>
    Effect.gen(function* () {
      const { a, b } = yield* three
      yield* commit(a, "one")
      assert.deepStrictEqual(
        {
          commits: a.value("commits", { quorum_outcome: "committed" }),
          durations: a.value("commitDuration", { quorum_outcome: "committed" }, "_count"),
          acks: a.value("acks", { result: "ack" }),
          ackDurations: ["b", "c"].map((peer) => a.value("ackDuration", { quorum_peer: peer }, "_count")),
          appends: a.value("appendDuration", { quorum_log: "own" }, "_count"),
          entries: a.value("appendEntries", { quorum_log: "own" }, "_sum"),
          copied: b.value("appendEntries", { quorum_log: "copy" }, "_sum"),
          head: a.value("logHead", { quorum_replica: "a" }),
          copyHead: b.value("logHead", { quorum_replica: "a" }),
          failures: a.value("failures", { reason: "timeout" }),
          lag: a.value("peerLag", { quorum_peer: "c" })
        },
        {
          commits: 1,
          durations: 1,
          acks: 2,
          ackDurations: [1, 1],
          appends: 1,
          entries: 1,
          copied: 1,
          head: 1,
          copyHead: 1,
          failures: 0,
          lag: 0
        }
      )
      assert.isAbove(a.value("appendSize", { quorum_log: "own" }, "_sum")!, 0)
      assert.isAbove(a.value("peerAckedAt", { quorum_peer: "b" })!, 0)
    })
  )

  it.effect("shows the record index fall behind and follow", () =>
    Effect.gen(function* () {
      const { a } = yield* three
      yield* commit(a, "one")
      assert.strictEqual(a.value("indexWaiting"), 1)
      assert.closeTo(a.value("indexDelay")!, 3, 0.2)
      yield* pass(3000)
      assert.deepStrictEqual([a.value("indexWaiting"), a.value("indexDelay")], [0, 0])
      assert.deepStrictEqual([a.value("mergeKeys"), a.value("mergeDuration", {}, "_count")], [1, 1])
      yield* pass(60_000)
      yield* commit(a, "two")
      assert.closeTo(a.value("indexDelay")!, 3, 0.2)
    })
  )

  it.effect(
    "counts every write of a batch and each of its acks, with one append, and measures in seconds (law L44)",
    () =>
      Effect.gen(function* () {
        const { a, set } = yield* three
        set.slow.set("a>b", 400)
        set.slow.set("a>c", 800)
        yield* Effect.forkChild(
          Effect.forEach([1, 2, 3, 4], (i) => a.writer.commit(Entry.put("notes", `k${i}`, "v")), {
            concurrency: "unbounded"
          })
        )
        yield* pass(2000)
        const committed = { quorum_outcome: "committed" }
        assert.strictEqual(a.value("commits", committed), 4)
        assert.strictEqual(a.value("commitDuration", committed, "_count"), 4)
        assert.closeTo(a.value("commitDuration", committed, "_sum")!, 4 * 0.4, 0.5)
        assert.strictEqual(a.value("appendEntries", { quorum_log: "own" }, "_sum"), 4)
        assert.strictEqual(a.value("appendEntries", { quorum_log: "own" }, "_count"), 1)
        assert.strictEqual(a.value("acks", { result: "ack" }), 8)
        for (const [peer, seconds] of [
          ["b", 0.4],
          ["c", 0.8]
        ] as const) {
          assert.strictEqual(a.value("ackDuration", { quorum_peer: peer }, "_count"), 4)
          assert.closeTo(a.value("ackDuration", { quorum_peer: peer }, "_sum")!, 4 * seconds, 0.5)
        }
      })
  )

  it.effect("shows a stopped peer: down, lag in entries, bytes and seconds, and all clear when it is back", () =>
    Effect.gen(function* () {
      const { a, c, set } = yield* three
      yield* commit(a, "before")
      yield* c.stop
      yield* pass(1000)
      yield* commit(a, "one")
      yield* commit(a, "two")
      const peer = { quorum_peer: "c" }
      const look = () => (["peerUp", "peerLag"] as const).map((key) => a.value(key, peer))
      assert.deepStrictEqual(look(), [0, 2])
      assert.strictEqual(a.value("peerLosses", peer), 1)
      const age = a.value("peerLagTime", peer)!
      const bytes = a.value("peerLagSize", peer)!
      assert.isAtLeast(age, 5.9)
      assert.isAtMost(age, 6.5)
      assert.isAbove(bytes, 0)
      yield* pass(10_000)
      assert.isAtLeast(a.value("peerLagTime", peer)!, 15.9)
      const again = yield* set.start("c")
      yield* pass(3000)
      assert.deepStrictEqual(look(), [1, 0])
      assert.deepStrictEqual([a.value("peerLagTime", peer), a.value("peerLagSize", peer)], [0, 0])
      assert.strictEqual(a.value("peerConnects", peer), 2)
      assert.strictEqual(again.value("logHead", { quorum_replica: "a" }), 3)
    })
  )

  it.effect("counts commits that failed, by reason, and what comes too late", () =>
    Effect.gen(function* () {
      const { a, set } = yield* three
      for (const link of ["a>b", "a>c"]) set.cut.add(link)
      const exit = yield* Effect.forkChild(
        Effect.forEach(["slow", "too"], (key) => Effect.exit(a.writer.commit(Entry.put("notes", key, "v"))), {
          concurrency: "unbounded"
        })
      )
      yield* pass(1000)
      assert.strictEqual(a.value("writesWaiting"), 2)
      yield* pass(2000)
      assert.isDefined(exit.pollUnsafe())
      const failures = ["unreachable", "timeout", "id_drift", "in_flight", "quorum_unavailable"].map(
        (reason) => a.value("failures", { reason }) ?? -1
      )
      assert.strictEqual(
        failures.reduce((sum, count) => sum + count, 0),
        2
      )
      assert.strictEqual(a.value("commits", { quorum_outcome: "quorum_not_met" }), 2)
      assert.strictEqual(a.value("writesWaiting"), 0)
      set.cut.clear()
      yield* pass(5000)
      assert.strictEqual(a.value("acks", { result: "late" }), 4)
      assert.isAbove(a.value("acks", { result: "failed" })!, 0)
    })
  )

  it.effect("counts what fails before it is written", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* three
      yield* Effect.all([b.stop, c.stop])
      yield* pass(6000)
      yield* commit(a, "no quorum")
      assert.strictEqual(a.value("failures", { reason: "quorum_unavailable" }), 1)
      assert.strictEqual(a.value("commits", { quorum_outcome: "quorum_unavailable" }), 1)
    })
  )

  it.effect("shows a full disk", () =>
    Effect.gen(function* () {
      const { a } = yield* three
      a.faults.inject(FaultyReplicaStore.failedAppend("disk_full"))
      yield* commit(a, "full")
      assert.strictEqual(a.value("appendFailures", { error_type: "disk_full" }), 1)
      assert.strictEqual(a.value("storeFault", { error_type: "disk_full" }), 1)
      assert.strictEqual(a.value("failures", { reason: "local_write_failed" }), 1)
      yield* commit(a, "room again")
      assert.strictEqual(a.value("storeFault", { error_type: "disk_full" }), 0)
    })
  )

  it.effect("shows how much room is left and kept, and that puts are refused", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const limit = { left: 2000, of: 16_000 }
      const a = yield* set.start("a", { limit: () => limit })
      const b = yield* set.start("b")
      yield* pass(3000)
      const values = ({ value }: Replicas.Running) =>
        (["storeLeft", "storeReserve", "putsRefused"] as const).map((key) => value(key))
      assert.deepStrictEqual(values(a), [2000, 1000, 0])
      assert.deepStrictEqual(values(b), [0, 0, 0])
      limit.left = 999
      yield* pass(1000)
      assert.deepStrictEqual(values(a), [999, 1000, 1])
      yield* commit(a, "refused")
      assert.strictEqual(a.value("commits", { quorum_outcome: "disk_low" }), 1)
      limit.left = 1125
      yield* pass(1000)
      assert.deepStrictEqual(values(a), [1125, 1000, 0])
    })
  )

  for (const [what, aheadMillis] of [
    ["ahead", 4000],
    ["behind", -4000]
  ] as const) {
    it.effect(`shows how far a clock is ${what}`, () =>
      Effect.gen(function* () {
        const set = yield* Replicas.make
        const a = yield* set.start("a")
        yield* set.start("b", { aheadMillis })
        yield* pass(3000)
        assert.closeTo(a.value("peerSkew", { quorum_peer: "b" })!, aheadMillis / 1000, 0.1)
        assert.isAbove(a.value("clockSkew", { peer: "b" }, "_count")!, 0)
        assert.strictEqual(a.value("clockSkew", { peer: "b", le: "1" }, "_bucket"), 0)
        assert.strictEqual(
          a.value("clockSkew", { peer: "b", le: "5" }, "_bucket"),
          a.value("clockSkew", { peer: "b" }, "_count")
        )
      })
    )
  }

  it.effect("L45 has the labels of the table and ids of configured replicas, and never a key or a namespace", () =>
    Effect.gen(function* () {
      const { a } = yield* three
      for (const key of ["http://example.com/1", "secret-key", "another"]) yield* commit(a, key)
      const text = a.text()
      assert.notMatch(text, /notes|secret|example|another/)
      const known = new Set([...Definitions.all.flatMap(({ attributes }) => attributes.map(Definitions.label)), "le"])
      for (const [, name] of text.matchAll(/[{,](\w+)="/g)) assert.include([...known], name)
      const values = Array.from(text.matchAll(/(?:quorum_peer|peer|quorum_replica)="([^"]*)"/g), ([, value]) => value!)
      for (const value of values) assert.include(Replicas.members, value)
    })
  )

  it.effect("has every series of a peer before anything has happened", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const a = yield* set.start("a")
      for (const peer of ["b", "c"]) {
        assert.strictEqual(a.value("peerUp", { quorum_peer: peer }), 0)
        assert.strictEqual(a.value("peerConnects", { quorum_peer: peer }), 0)
      }
      assert.strictEqual(a.value("failures", { reason: "id_drift" }), 0)
      assert.strictEqual(a.value("drifts"), 0)
      assert.strictEqual(a.value("info", { quorum_replica: "a" }), 1)
      assert.strictEqual(a.value("recovered"), 0)
      yield* pass(3000)
      assert.strictEqual(a.value("peerUp", { quorum_peer: "b" }), 0)
      assert.strictEqual(a.value("peerLosses", { quorum_peer: "b" }), 0)
      yield* set.start("b")
      yield* set.start("c")
      yield* pass(3000)
      assert.strictEqual(a.value("peerConnects", { quorum_peer: "b" }), 1)
      assert.strictEqual(a.value("recovered"), 1)
    })
  )

  it.effect("says whether a replica votes: one with an empty store in a set that knows it does when it holds all", () =>
    Effect.gen(function* () {
      const { a, b, set } = yield* three
      yield* commit(a, "one")
      assert.strictEqual(b.value("voting"), 1)
      yield* b.stop
      const empty = { cluster: "test", replica: ReplicaId.make("b"), doubt: "blank" } as const
      set.replaceStore("b", yield* ReplicaStore.makeMemory(empty))
      const again = yield* set.start("b")
      assert.strictEqual(again.value("voting"), 0)
      yield* pass(5000)
      assert.strictEqual(again.value("voting"), 1)
    })
  )

  it.effect("says how far a clock that is not followed is off", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const a = yield* set.start("a", { aheadMillis: 3_600_000 })
      yield* set.start("b")
      yield* set.start("c")
      yield* pass(5000)
      // The distance of two clocks is measured in fractions of a millisecond, and cut off to whole ones.
      assert.closeTo(a.value("clockHeld")!, 3540, 0.002)
    })
  )

  it.effect("takes its gauges back when it ends", () =>
    Effect.gen(function* () {
      const { a } = yield* three
      yield* commit(a, "one")
      yield* a.stop
      assert.strictEqual(a.value("peerUp", { quorum_peer: "b" }), undefined)
      assert.strictEqual(a.value("commits", { quorum_outcome: "committed" }), 1)
    })
  )
})
