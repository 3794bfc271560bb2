/** Who holds a write of a log that is damaged here, and what is told when. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type LogId, type ReplicaEvents } from "../src/index.ts"
import { EntryBatch, ReplicaStore } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"

const put = (key: string) => Entry.put("notes", key, "v")

/** Nobody gives `a` anything of a log, and nobody says that it lacks it: what is damaged stays so. */
const withhold = (cluster: Effect.Success<ReturnType<typeof Cluster.make>>, log: LogId.LogId) => {
  for (const link of ["a>b", "a>c"]) {
    cluster.faults.set(link, (client) => ({
      ...client,
      pull: (request) =>
        request.log === log
          ? Effect.fail(new ReplicaStore.StoreError({ reason: "unavailable", detail: "not today" }))
          : client.pull(request)
    }))
  }
}

/**
 * `a` restarts on a log of four writes, of which the third is damaged here; `b` and `c` hold them all, and cannot give
 * them.
 */
const damaged = Effect.fnUntraced(function* (w: number, seqs: ReadonlyArray<number> = [3]) {
  const cluster = yield* Cluster.make(["a", "b", "c"], w)
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
  cluster.stores.set("a", store)
  const first = yield* cluster.start("a")
  yield* cluster.start("b")
  yield* cluster.start("c")
  yield* TestClock.adjust(1000)
  const receipts = yield* Effect.forEach(["1", "2", "3", "4"], (key) =>
    during(first.writer.commit(put(key), { w: "all" }), 100)
  )
  const { own } = first.logs
  yield* during(first.stop, 5000)
  for (const seq of seqs) store.damage(own, seq)
  withhold(cluster, own)
  const a = yield* cluster.start("a")
  yield* TestClock.adjust(5000)
  assert.sameDeepMembers(
    [...a.logs.damaged()],
    seqs.map((seq) => ({ log: own, from: seq, to: seq }))
  )
  return { a, cluster, id: (seq: number) => receipts[seq - 1]!.writeId }
})

describe("DamageIsLocal: after damage of a log", () => {
  it.effect("this replica is no holder, in status and resume, of what its vector does not cover", () =>
    Effect.gen(function* () {
      const { a, id } = yield* damaged(2)
      assert.strictEqual(a.logs.vector().find(({ log }) => log === a.logs.own)?.seq, 2)
      // It lacks what it was counted for, so it is nobody's holder until it is mended.
      const before = yield* a.writer.status(id(2))
      assert.sameMembers([...before.holders], ["b", "c"])
      const { committed, holders, verdicts } = yield* a.writer.status(id(4))
      assert.sameMembers([...holders], ["b", "c"])
      assert.isTrue(committed)
      assert.deepStrictEqual(verdicts[a.id], { _tag: "lagging", by: 2 })
      assert.isFalse(a.membership.isVoting())
      assert.sameMembers(
        (yield* during(a.writer.resume(id(4)), 10)).acked.map(({ replica }) => replica),
        ["b", "c"]
      )
      assert.strictEqual((yield* Effect.flip(a.writer.status(id(3))))._tag, "StoreError")
    })
  )

  it.effect("a log is announced up to the first of several damaged entries in a row, whichever is found first", () =>
    Effect.gen(function* () {
      const { a } = yield* damaged(2, [3, 2])
      const held = a.logs.vector().find(({ log }) => log === a.logs.own)
      assert.strictEqual(held?.seq, 1)
      assert.strictEqual(a.peers.get(Cluster.id("b")).drifted.size, 0)
    })
  )

  it.effect("what an append finds to be damaged counts as held no more, and comes back", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("b") })
      cluster.stores.set("b", store)
      const a = yield* cluster.start("a")
      const b = yield* cluster.start("b")
      yield* cluster.start("c")
      yield* TestClock.adjust(1000)
      for (const key of ["1", "2"]) yield* during(a.writer.commit(put(key), { w: "all" }), 100)
      const held = () => b.logs.vector().find(({ log }) => log === a.logs.own)?.seq
      assert.strictEqual(held(), 2)
      const said: Array<number | undefined> = []
      b.logs.onDamage(() => said.push(held()))
      store.damage(a.logs.own, 2)
      yield* during(a.writer.commit(put("3")), 100)
      assert.strictEqual(said[0], 1)
      yield* TestClock.adjust(5000)
      assert.strictEqual(held(), 3)
    })
  )

  it.effect("L5 it takes W of the others to meet a quorum, and one that needs all cannot be met", () =>
    Effect.gen(function* () {
      const { a, cluster, id } = yield* damaged(2)
      const all = yield* Effect.flip(a.writer.resume(id(4), { w: "all" }))
      assert(all._tag === "QuorumNotMet")
      assert.deepStrictEqual([all.got, all.needed], [2, 3])
      // One peer alone is one replica of the two.
      cluster.cut("a", "c")
      yield* TestClock.adjust(30_000)
      const write = yield* Effect.forkChild(Effect.flip(a.writer.resume(id(4))))
      yield* TestClock.adjust(3000)
      const error = yield* Fiber.join(write)
      assert(error._tag === "QuorumNotMet")
      assert.deepStrictEqual([error.got, error.needed], [1, 2])
      assert.isFalse((yield* a.writer.status(id(4))).committed)
    })
  )
})

describe("a late ack", () => {
  it.effect("makes a holder, and shows as late in the status of a write that missed its quorum", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("abc", 3)
      cluster.cut("a", "c")
      const write = yield* Effect.forkChild(Effect.flip(a.writer.commit(put("k"))))
      yield* TestClock.adjust(3000)
      const error = yield* Fiber.join(write)
      assert(error._tag === "QuorumNotMet")
      cluster.heal()
      yield* TestClock.adjust(20_000)
      const { committed, holders, verdicts } = yield* a.writer.status(error.writeId)
      assert.sameMembers([...holders], ["a", "b", "c"])
      assert.isTrue(committed)
      assert.deepStrictEqual(
        ["a", "b", "c"].map((id) => verdicts[Cluster.id(id)]?._tag),
        ["acked", "acked", "late"]
      )
      // A write that met its quorum has none.
      const { writeId } = yield* during(a.writer.commit(put("k")), 100)
      const met = yield* a.writer.status(writeId)
      assert.deepStrictEqual(new Set(Object.values(met.verdicts).map(({ _tag }) => _tag)), new Set(["acked"]))
    })
  )
})

describe("what is told of an append", () => {
  it.effect("comes before anything that is told because of it", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("abc", 2)
      const told: Array<ReplicaEvents.ReplicaEvent["_tag"]> = []
      a.events.listen(({ _tag }) => void told.push(_tag))
      // Whoever hears of an append may report an ack at once.
      a.logs.onAppend(({ chain, count, from, log }) =>
        a.peers.report({
          _tag: "Ack",
          how: "push",
          peer: Cluster.id("b"),
          incarnation: a.peers.get(Cluster.id("b")).incarnation!,
          watermark: { log, seq: from + count - 1, chain },
          monotonicMillis: 1000
        })
      )
      yield* during(a.writer.commit(put("k")), 100)
      assert.deepStrictEqual(told.slice(0, 2), ["Appended", "Acked"])
    })
  )
})

describe("damage that is found", () => {
  it.effect("DamageIsLocal: by what erases a log is taken in at once, and given up or mended, and writes go on", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
      cluster.stores.set("a", store)
      const [a] = yield* Effect.forEach(["a", "b", "c"], (id) => cluster.start(id))
      yield* TestClock.adjust(1000)
      yield* during(a!.writer.commit(put("1"), { w: "all" }), 100)
      const { own } = a!.logs
      // What was written last is read from memory, so that no read finds it.
      const held = Option.getOrThrow(yield* a!.logs.read(own, 0, 1))
      store.damage(own, 1)
      assert.isTrue(Option.isSome(yield* a!.logs.read(own, 0, 1)))
      const told: Array<string> = []
      a!.logs.onDamage(({ _tag }) => void told.push(_tag))
      yield* failure(a!.logs.erase(EntryBatch.erase(held, () => "superseded")), "StoreError")
      assert.deepStrictEqual(told, ["Found"])
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(a!.logs.damaged(), [])
      yield* during(a!.writer.commit(put("2")), 100)
    })
  )

  it.effect("NeverStandsStill: and of which nobody was told refuses writes, without turning the processor", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const store = yield* cluster.storeOf("a")
      let found: ReadonlyArray<ReplicaStore.DamagedRange> = []
      let looks = 0
      cluster.stores.set("a", { ...store, damaged: () => (looks++, found) })
      const [a] = yield* Effect.forEach(["a", "b", "c"], (id) => cluster.start(id))
      yield* TestClock.adjust(1000)
      yield* during(a!.writer.commit(put("1")), 100)
      found = [{ log: a!.logs.own, from: 1, to: 1 }]
      looks = 0
      yield* during(failure(a!.writer.commit(put("2")), "NotReady"), 500)
      assert.isBelow(looks, 1000)
    })
  )
})
