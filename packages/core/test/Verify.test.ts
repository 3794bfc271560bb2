/** What the replicas of today hold of a write that was committed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { EntryBatch, ReplicaStore } from "../src/adapter.ts"
import { Entry, LogId, type Receipt, type WriteId } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { says } from "./support/greeting.ts"
import { during, failure } from "./support/time.ts"

const put = (key: string, value = "v") => Entry.put("n", key, value)

const statesOf = ({ copies }: Receipt.Verification) =>
  Object.entries(copies).map(([replica, state]) => `${replica} ${state}`)

describe("verify", () => {
  it.effect("asks every replica, from any of them, and sums up who holds the write", () =>
    Effect.gen(function* () {
      const { a, replicas } = yield* Cluster.running("abc", 2)
      const receipt = yield* during(a.writer.commit(put("k")), 10)
      yield* TestClock.adjust(1000)
      for (const replica of replicas) {
        const verification = yield* during(replica.writer.verify(receipt), 10)
        assert.deepStrictEqual([...statesOf(verification)].sort(), ["a held", "b held", "c held"])
        assert.deepInclude({ ...verification }, { writeId: receipt.writeId, held: 3, committed: true })
      }
      const [, , c] = replicas
      const all = yield* during(a.writer.commit(put("l"), { w: 3 }), 10)
      yield* c!.stop
      yield* TestClock.adjust(3000)
      assert.deepInclude({ ...(yield* a.writer.verify(all)) }, { held: 2, committed: false })
      assert.deepInclude({ ...(yield* a.writer.verify(receipt)) }, { held: 2, committed: true })
    })
  )

  it.effect("says where it is superseded: where each of its keys has a newer write", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 3)
      const receipt = yield* during(a.writer.commit([put("k"), put("l")]), 10)
      yield* during(b.writer.commit(put("k", "newer")), 10)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(statesOf(yield* during(a.writer.verify(receipt), 10)), ["a held", "b held", "c held"])
      yield* during(b.writer.commit(Entry.remove("n", "l")), 10)
      yield* TestClock.adjust(1000)
      const verification = yield* during(a.writer.verify(receipt), 10)
      assert.deepStrictEqual(statesOf(verification), ["a superseded", "b superseded", "c superseded"])
      assert.deepInclude({ ...verification }, { held: 3, committed: true })
    })
  )

  it.effect(
    "tells a copy that was counted and is lost from one that never was there, and from who cannot be asked",
    () =>
      Effect.gen(function* () {
        const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
        cluster.cut("a", "c")
        cluster.cut("c", "b")
        cluster.cut("c", "a")
        const receipt = yield* during(a.writer.commit(put("k")), 10)
        const early = yield* during(b.writer.verify(receipt), 2001)
        assert.deepStrictEqual(statesOf(early), ["b held", "a held", "c missing"])
        // The whole set loses its disks but for c, which has not got it.
        yield* Effect.all([a.stop, b.stop])
        for (const id of ["a", "b"]) cluster.wipe(id)
        yield* TestClock.adjust(3000)
        const alone = yield* c.writer.verify(receipt)
        assert.deepStrictEqual(statesOf(alone), ["c missing", "a unknown", "b unknown"])
        assert.deepInclude({ ...alone }, { held: 0, committed: false })
        cluster.heal()
        const wiped = yield* Effect.forEach(["a", "b"], (id) => cluster.start(id))
        yield* TestClock.adjust(5000)
        // They say nothing before they hold all that they may have acknowledged, or an operator gives that up.
        assert.deepStrictEqual(statesOf(yield* during(c.writer.verify(receipt), 10)), [
          "c missing",
          "a unknown",
          "b unknown"
        ])
        yield* Effect.forEach(wiped, ({ id, membership }) => membership.recover([a.id, b.id].filter((it) => it !== id)))
        yield* TestClock.adjust(5000)
        const late = yield* during(c.writer.verify(receipt), 10)
        assert.deepStrictEqual(statesOf(late), ["c missing", "a lost", "b lost"])
      })
  )

  it.effect("follows what was committed again, and given up once more, to where it is now", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const receipt = yield* a.writer.commit(put("k"))
      const [one, two] = ["x@00000000000000f1", "y@00000000000000f2"] as const
      const gaveUp = (from: string, seq: number, to: string, at: number) =>
        a.membership.kept.add({
          log: from as LogId.LogId,
          after: seq - 1,
          upTo: seq,
          because: "fork",
          peer: null,
          again: [{ from: seq, count: 1, log: to as LogId.LogId, at }],
          wallMillis: 0
        })
      yield* gaveUp(one, 5, two, 3)
      yield* gaveUp(two, 3, a.logs.own, 1)
      const moved = { ...receipt, writeId: `${one}:5.00000001` as WriteId.WriteId }
      const verification = yield* a.writer.verify(moved)
      assert.deepStrictEqual([...statesOf(verification)], ["a held"])
      assert.deepStrictEqual(verification.movedTo, [receipt.writeId])
      const before = yield* a.writer.verify({ ...moved, writeId: `${one}:4.00000001` as WriteId.WriteId })
      assert.deepStrictEqual([...statesOf(before)], ["a lost"])
    })
  )

  it.effect("does not take for compacted what had the same place on the other side of a fork", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      // Nobody else gets the log of b.
      for (const link of ["a>b", "a>c", "b>a", "b>c", "c>a", "c>b"]) {
        cluster.faults.set(link, (client) => ({
          ...client,
          push: (request) => (link.startsWith("b") ? Effect.never : client.push(request)),
          pull: (request) => (request.log.startsWith("b") ? Effect.never : client.pull(request))
        }))
      }
      const [a, b, c] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(2000)
      const stays = yield* during(a.writer.commit(put("k"), { w: 3 }), 100)
      const log = a.logs.own
      for (const { logs } of [a, b, c]) {
        const batch = Option.getOrThrow(yield* logs.read(log, 0, 1 << 20))
        yield* logs.erase(EntryBatch.erase(batch, () => "superseded"))
      }
      // The other side had one entry there, which b has committed again.
      const again = yield* during(b.writer.commit(put("k", "newer"), { w: 1 }), 100)
      const part = { from: 1, count: 1, log: b.logs.own, at: 1 }
      const given = { log, after: 0, upTo: 1, because: "fork", peer: null, again: [part], wallMillis: 0 } as const
      yield* b.membership.kept.add(given)
      const writeId = `${log}:1.00000001` as WriteId.WriteId
      const other = { ...again, writeId, policy: stays.policy, acked: stays.acked }
      for (const replica of [a, b, c]) {
        const verification = yield* during(replica.writer.verify(other), 100)
        assert.sameMembers([...statesOf(verification)], ["a lost", "b held", "c lost"])
        assert.deepInclude({ ...verification }, { held: 1, committed: false, movedTo: [again.writeId] })
        const same = yield* during(replica.writer.verify(stays), 100)
        assert.sameMembers([...statesOf(same)], ["a compacted", "b compacted", "c compacted"])
      }
    })
  )

  it.effect("L52 another write at the place is no copy", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const receipt = yield* a.writer.commit(put("k"))
      const other = { ...receipt, writeId: receipt.writeId.replace(/.$/, (digit) => (digit === "0" ? "1" : "0")) }
      assert.deepStrictEqual(statesOf(yield* a.writer.verify(other as Receipt.Receipt)), ["a lost"])
      yield* failure(a.writer.verify({ ...receipt, writeId: "x" as never }), "WriteUnknown")
    })
  )

  it.effect("L70 what is no receipt, or only some of one, is rejected by the part that is the matter", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const receipt = yield* a.writer.commit(put("k"))
      const { acked, clock, policy, tie, writeId } = receipt
      const throws = (): never => {
        throw new Error("a getter threw")
      }
      const odd: ReadonlyArray<readonly [receipt: unknown, part: string]> = [
        [{ writeId }, '["clock"]'],
        [{ writeId, clock, tie, policy }, '["acked"]'],
        [{ writeId, clock, tie, acked }, '["policy"]'],
        [{ ...receipt, tie: "x" }, '["tie"]'],
        [{ ...receipt, clock: { ...clock, wallTime: -1 } }, '["clock"]["wallTime"]'],
        [{ ...receipt, acked: [null] }, '["acked"][0]'],
        [{ ...receipt, acked: [{ replica: "a b" }] }, '["acked"][0]["replica"]'],
        // Nobody holds it, and that would be enough.
        [{ ...receipt, policy: { ...policy, w: 0 } }, '["policy"]["w"]'],
        [{ ...receipt, policy: { ...policy, w: Symbol("w") } }, '["policy"]["w"]'],
        [Object.defineProperty({ ...receipt }, "acked", { get: throws }), "it cannot be read"]
      ]
      for (const [given, part] of odd) {
        const { detail, field } = yield* failure(a.writer.verify(given as Receipt.Receipt), "ReadRejected")
        assert.strictEqual(field, "receipt")
        assert.include(detail, part)
      }
      const revoked = Proxy.revocable(receipt, {})
      revoked.revoke()
      yield* failure(a.writer.verify(revoked.proxy), "WriteUnknown")
      yield* failure(a.writer.upgrade(revoked.proxy, "all"), "WriteUnknown")
      assert.isTrue((yield* a.writer.verify({ ...receipt, missing: {}, durationMillis: Number.NaN })).committed)
    })
  )

  it.effect(
    "L57 an answer of who knows of other lives of the members is none, as of a disk that another has replaced",
    () =>
      Effect.gen(function* () {
        const { a, c } = yield* Cluster.running("abc", 2)
        const receipt = yield* during(a.writer.commit(put("k"), { w: 3 }), 10)
        assert.deepStrictEqual(statesOf(yield* during(a.writer.verify(receipt), 10)), ["a held", "b held", "c held"])
        // The first disk of c lives on, and neither it nor b has heard of the one that took its place.
        const incarnation = (yield* LogId.incarnations)(c.logs.identity.incarnation)
        yield* a.membership.meet({ ...says(incarnation), replica: c.id, vector: [] })
        const verification = yield* during(a.writer.verify(receipt), 10)
        assert.deepStrictEqual(statesOf(verification), ["a held", "b unknown", "c unknown"])
        assert.isFalse(verification.committed)
        yield* TestClock.adjust(1500)
        assert.include(statesOf(yield* during(a.writer.verify(receipt), 10)), "b held")
        assert.notStrictEqual(c.logs.identity.incarnation, incarnation)
      })
  )

  it.effect("a damaged copy does not count, and a store that fails says nothing", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
      let fails = false
      const unavailable = new ReplicaStore.StoreError({ reason: "unavailable", detail: "the disk is gone" })
      cluster.stores.set("a", {
        ...store,
        read: (...args) => (fails ? Effect.fail(unavailable) : store.read(...args))
      })
      const first = yield* cluster.start("a")
      const receipt = yield* first.writer.commit(put("k"))
      yield* first.writer.commit(put("l"))
      yield* first.stop
      const a = yield* cluster.start("a")
      fails = true
      assert.deepStrictEqual(statesOf(yield* a.writer.verify(receipt)), ["a unknown"])
      fails = false
      store.damage(a.logs.own, 1)
      const verification = yield* a.writer.verify(receipt)
      assert.deepStrictEqual([...statesOf(verification), verification.committed], ["a damaged", false])
    })
  )
})
