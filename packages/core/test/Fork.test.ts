/** A log of which two copies go on differently: which side stays, and that nothing of the other is lost. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { Entry } from "../src/index.ts"
import { EntryBatch, ReplicaStore } from "../src/adapter.ts"
import * as GivenUp from "../src/peer/GivenUp.ts"
import * as Cluster from "./support/cluster.ts"
import { copyOf } from "./support/stores.ts"
import { during, failure } from "./support/time.ts"

const put = (key: string, value = key) => Entry.put("n", key, value)

const valueOf = (replica: Cluster.Running, key: string) =>
  Effect.map(during(replica.records.read("n", key), 10), (record) =>
    Option.match(record, { onNone: () => undefined, onSome: ({ value }) => new TextDecoder().decode(value) })
  )

/**
 * Two writes of one place, each acknowledged by two of three: the store of `a` was put back as it was before the first
 * while `b`, which holds that, could not be reached. `c` was away before, and holds the second.
 */
const forked = Effect.gen(function* () {
  const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
  yield* during(a.writer.commit(put("both")), 10)
  yield* TestClock.adjust(1000)
  const older = yield* copyOf(yield* cluster.storeOf("a"))
  yield* during(c.stop, 5000)
  const first = yield* during(a.writer.commit([put("first"), put("same", "first")]), 10)
  yield* during(a.writer.commit(put("second")), 10)
  yield* during(a.stop, 5000)
  cluster.stores.set("a", older)
  for (const link of ["ab", "ba", "bc", "cb"]) cluster.cut(link[0]!, link[1]!)
  const back = yield* cluster.start("c", { policy: Cluster.policy(3, 2, { ackTimeout: 20_000 }) })
  const again = yield* cluster.start("a")
  yield* TestClock.adjust(3000)
  const other = yield* during(again.writer.commit([put("other"), put("same", "other")]), 10)
  for (const key of ["third", "fourth"]) yield* during(again.writer.commit(put(key)), 10)
  const log = a.logs.own
  assert.strictEqual(again.logs.own, log)
  // So long that it is noted what the others acked.
  yield* TestClock.adjust(6000)
  assert.deepStrictEqual(
    other.acked.map(({ replica }) => replica),
    [again.id, back.id]
  )
  return { cluster, log, first, other, replicas: [again, b, back] as const }
})

const vectorOf = ({ logs }: Cluster.Running) =>
  logs
    .vector()
    .map(({ chain, log, seq }) => `${log} ${seq} ${chain}`)
    .sort()

const keys = ["both", "first", "second", "other", "third", "fourth"]

describe("OneEntryPerPlace: a log that forked", () => {
  it.effect("L53 keeps both sides: one in the log, the other in logs of those who held it, on every replica", () =>
    Effect.gen(function* () {
      const { cluster, first, log, other, replicas } = yield* forked
      const [a, b, c] = replicas
      const before = c.logs.identity
      const told: Array<string> = []
      c.events.listen((event) => {
        if (event._tag === "CommittedAgain") told.push(`${event.log} ${event.after} ${event.upTo} ${event.because}`)
      })
      cluster.heal()
      yield* TestClock.adjust(15_000)
      for (const replica of replicas) {
        assert.isTrue(replica.membership.isVoting(), replica.id)
        assert.deepStrictEqual(replica.logs.head(log), b.logs.head(log))
        assert.deepStrictEqual(vectorOf(replica), vectorOf(b))
        for (const peer of replica.status().peers) assert.deepStrictEqual(peer.drifted, [])
        for (const key of keys) assert.strictEqual(yield* valueOf(replica, key), key)
        // The later of the two, also where it has another place.
        assert.strictEqual(yield* valueOf(replica, "same"), "other")
        assert.isTrue((yield* replica.writer.status(first.writeId)).committed)
        const { held } = yield* failure(replica.writer.status(other.writeId), "WriteReplaced")
        assert.strictEqual(held, first.writeId)
        const record = Option.getOrThrow(yield* during(replica.records.read("n", "other"), 10))
        assert.deepStrictEqual(record.clock, other.clock)
      }
      assert.notStrictEqual(a.logs.own, log)
      assert.deepStrictEqual(told, [`${log} 1 4 fork`])
      const [kept] = c.status().givenUp
      assert.deepInclude(kept, { log, after: 1, upTo: 4, because: "fork", peer: b.id })
      assert.deepStrictEqual(kept!.again, [{ from: 2, count: 3, log: c.logs.own, at: 1 }])
      assert.strictEqual(c.logs.head(c.logs.own).seq, 3)
      assert.deepStrictEqual(c.logs.identity, before)
      assert.deepStrictEqual(b.status().givenUp, [])
      yield* during(a.writer.commit(put("more"), { w: "all" }), 100)
    })
  )

  it.effect(
    "ReadYourWrites: is not held to its end by who acked another side of it, also for one that is killed at once",
    () =>
      Effect.gen(function* () {
        const { cluster, log, replicas } = yield* forked
        const [a, b, c] = replicas
        const ackedByA = (replica: Cluster.Running) =>
          replica.membership.remembered(a.id).find((watermark) => watermark.log === log)?.seq
        assert.strictEqual(ackedByA(c), 4)
        cluster.heal()
        for (const link of ["ab", "ba", "ac", "ca"]) cluster.cut(link[0]!, link[1]!)
        for (let i = 0; c.logs.head(log).chain !== b.logs.head(log).chain; i++) {
          assert.isBelow(i, 40)
          yield* TestClock.adjust(100)
        }
        const killed = yield* copyOf(yield* cluster.storeOf("c"))
        assert.isUndefined(ackedByA(c))
        yield* during(c.stop, 5000)
        cluster.stores.set("c", killed)
        for (const link of ["bc", "cb"]) cluster.cut(link[0]!, link[1]!)
        assert.isUndefined(ackedByA(yield* cluster.start("c")))
      })
  )

  it.effect(
    "is followed by verify, from any replica: what was committed again is held, at the place that it has now",
    () =>
      Effect.gen(function* () {
        const { cluster, first, other, replicas } = yield* forked
        const [a, b, c] = replicas
        cluster.heal()
        yield* TestClock.adjust(15_000)
        for (const replica of replicas) {
          const moved = yield* during(replica.writer.verify(other), 100)
          // Both of its holders have committed it again.
          assert.deepStrictEqual(
            [...moved.movedTo!].sort(),
            [yield* Cluster.idAt(a.logs, 1), yield* Cluster.idAt(c.logs, 1)].sort()
          )
          assert.deepStrictEqual(moved.copies, { [a.id]: "held", [b.id]: "held", [c.id]: "held" })
          assert.isTrue(moved.committed)
          const stayed = yield* during(replica.writer.verify(first), 100)
          assert.deepInclude({ ...stayed }, { held: 3, committed: true })
          assert.isUndefined(stayed.movedTo)
        }
        // Another write of that place, which nobody has, is not taken for it.
        const never = { ...other, clock: { ...other.clock, logical: other.clock.logical + 1 } }
        assert.deepInclude({ ...(yield* during(c.writer.verify(never), 100)) }, { held: 0, committed: false })
        yield* during(b.writer.commit([put("other"), put("same")]), 100)
        yield* TestClock.adjust(2000)
        yield* during(a.stop, 5000)
        const later = yield* during(b.writer.verify(other), 5000)
        assert.deepStrictEqual(later.copies, { [a.id]: "unknown", [b.id]: "superseded", [c.id]: "superseded" })
      })
  )

  it.effect("says where each entry is that was committed again, after erased ones too", () =>
    Effect.gen(function* () {
      const { cluster, log, replicas } = yield* forked
      const [a, , c] = replicas
      yield* during(a.writer.commit(put("fifth")), 10)
      const side = Option.getOrThrow(yield* c.logs.read(log, 1, 1 << 20))
      yield* c.logs.erase(EntryBatch.erase(side, (seq) => (seq === 4 ? "superseded" : "kept")))
      cluster.heal()
      yield* TestClock.adjust(15_000)
      const [kept] = c.status().givenUp
      const own = c.logs.own
      assert.deepStrictEqual(kept!.again, [
        { from: 2, count: 2, log: own, at: 1 },
        { from: 5, count: 1, log: own, at: 3 }
      ])
      assert.deepStrictEqual(GivenUp.placesOf([kept!], log, 4), [])
      const copy = Option.getOrThrow(yield* c.logs.read(own, 2, 1))
      assert.strictEqual(Entry.decodeAt(copy.bytes, 0).records[0]!.key, "fifth")
    })
  )

  it.effect("L53 an id of the side that gave way is never said to be compacted, when the entry at its place is", () =>
    Effect.gen(function* () {
      const { cluster, log, other, replicas } = yield* forked
      const [, , c] = replicas
      cluster.heal()
      yield* TestClock.adjust(15_000)
      const side = Option.getOrThrow(yield* c.logs.read(log, 0, 1 << 20))
      yield* c.logs.erase(EntryBatch.erase(side, (seq) => (seq === 2 ? "superseded" : "kept")))
      const own = c.logs.own
      const { held } = yield* failure(c.writer.status(other.writeId), "WriteReplaced")
      assert.strictEqual(held, yield* Cluster.idAt(c.logs, 1))
      assert.isTrue((yield* c.writer.status(held as never)).committed)
      // The copy is superseded too.
      const copies = Option.getOrThrow(yield* c.logs.read(own, 0, 1 << 20))
      yield* c.logs.erase(EntryBatch.erase(copies, (seq) => (seq === 1 ? "superseded" : "kept")))
      yield* failure(c.writer.status(other.writeId), "WriteCompacted")
    })
  )

  it.effect("NoPhantomAck: who holds another entry at the place of a write is never counted for it", () =>
    Effect.gen(function* () {
      const { cluster, other, replicas } = yield* forked
      const [, , c] = replicas
      const fiber = yield* Effect.forkChild(Effect.result(c.writer.resume(other.writeId, { w: 3 })))
      yield* TestClock.adjust(100)
      cluster.heal()
      yield* TestClock.adjust(15_000)
      const result = yield* Fiber.join(fiber)
      assert(Result.isFailure(result) && result.failure._tag === "QuorumNotMet")
      assert.strictEqual(result.failure.reason, "id_drift")
    })
  )

  it.effect("RecoveringDoesNotVote: its owner waits for what the others hold, in whichever log that is then", () =>
    Effect.gen(function* () {
      const { cluster, log, replicas } = yield* forked
      const [a, , c] = replicas
      // The other does not get to give its side up, and holds what it committed again where nobody gets it.
      for (const link of ["ac", "bc"]) {
        cluster.faults.set(link.split("").join(">"), (client) => ({
          ...client,
          pull: (request) => (request.log === c.logs.own ? Effect.never : client.pull(request))
        }))
      }
      cluster.cut("c", "a")
      cluster.cut("c", "b")
      cluster.join("a", "b")
      cluster.join("b", "a")
      cluster.join("b", "c")
      yield* TestClock.adjust(10_000)
      assert.notStrictEqual(a.logs.own, log)
      assert.isFalse(a.membership.isVoting())
      cluster.faults.clear()
      cluster.heal()
      yield* TestClock.adjust(15_000)
      assert.isTrue(a.membership.isVoting())
    })
  )

  it.effect.each([
    ["first", "bc"],
    ["last", "ab"]
  ] as const)("is settled when its owner is the %s to meet the other side, and its owner votes then", ([, away]) =>
    Effect.gen(function* () {
      const { cluster, replicas } = yield* forked
      const [a, b] = replicas
      cluster.heal()
      cluster.cut(away[0]!, away[1]!)
      cluster.cut(away[1]!, away[0]!)
      yield* TestClock.adjust(20_000)
      cluster.heal()
      yield* TestClock.adjust(15_000)
      assert.isTrue(a.membership.isVoting())
      for (const replica of replicas) {
        assert.deepStrictEqual(vectorOf(replica), vectorOf(b))
        for (const key of keys) assert.strictEqual(yield* valueOf(replica, key), key)
      }
    })
  )

  it.effect("of which the side to give up is damaged waits until that is mended, and makes no copies meanwhile", () =>
    Effect.gen(function* () {
      const { cluster, log, replicas } = yield* forked
      const [, , c] = replicas
      const store = cluster.stores.get("c") as ReplicaStore.MemoryStore
      store.damage(log, 3)
      for (const link of ["bc", "cb"]) cluster.join(link[0]!, link[1]!)
      for (const link of ["ac", "ca"]) cluster.cut(link[0]!, link[1]!)
      yield* TestClock.adjust(15_000)
      // One at most: the damage is found when it is read.
      assert.isAtMost(c.logs.head(c.logs.own).seq, 1)
      cluster.heal()
      yield* TestClock.adjust(30_000)
      for (const replica of replicas) {
        for (const key of keys) assert.strictEqual(yield* valueOf(replica, key), key, `${key} at ${replica.id}`)
        assert.isTrue(replica.membership.isVoting())
      }
    })
  )

  it.effect(
    "is settled again after a crash before the side was given up, which makes another copy and no other harm",
    () =>
      Effect.gen(function* () {
        const { cluster, log, replicas } = yield* forked
        const [, b, c] = replicas
        const store = yield* cluster.storeOf("c")
        const { cut } = store
        let failures = 0
        const notToday = new ReplicaStore.StoreError({ reason: "unavailable", detail: "not today" })
        Object.assign(store, {
          cut: (...args: Parameters<typeof cut>) => (failures++ < 2 ? Effect.fail(notToday) : cut(...args))
        })
        cluster.heal()
        yield* TestClock.adjust(20_000)
        assert.isAbove(failures, 2)
        assert.isAbove(c.status().givenUp.length, 2)
        for (const replica of replicas) {
          assert.deepStrictEqual(replica.logs.head(log), b.logs.head(log))
          for (const key of keys) assert.strictEqual(yield* valueOf(replica, key), key)
        }
        yield* during(c.stop, 5000)
        const restarted = yield* cluster.start("c")
        yield* TestClock.adjust(5000)
        assert.isTrue(restarted.membership.isVoting())
        assert.strictEqual(restarted.logs.own, c.logs.own)
        assert.deepStrictEqual(restarted.status().givenUp, c.status().givenUp)
      })
  )
})
