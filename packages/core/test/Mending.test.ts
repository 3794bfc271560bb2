/** What is damaged on a replica comes back from its peers, and until then it does not vote. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type LogId, type WriteId } from "../src/index.ts"
import { EntryBatch, ReplicaStore } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { entriesOf } from "./support/entries.ts"
import { during } from "./support/time.ts"

const put = (key: string) => Entry.put("notes", key, `value of ${key}`)

const keys = ["1", "2", "3", "4", "5", "6"]

/** Three replicas on stores that can be damaged; `a` has written a record for every key, and all hold them. */
const filled = Effect.fnUntraced(function* (ids = ["a", "b", "c"]) {
  const cluster = yield* Cluster.make(ids, Math.floor(ids.length / 2) + 1)
  const stores = new Map<string, ReplicaStore.MemoryStore>()
  const replicas: Array<Cluster.Running> = []
  for (const id of ids) {
    const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id(id) })
    stores.set(id, store)
    cluster.stores.set(id, store)
    replicas.push(yield* cluster.start(id))
  }
  yield* TestClock.adjust(1000)
  const [a, b, c] = replicas as [Cluster.Running, Cluster.Running, Cluster.Running]
  const { own } = a.logs
  const writes: Array<WriteId.WriteId> = []
  for (const key of keys) writes.push((yield* during(a.writer.commit(put(key), { w: "all" }), 100)).writeId)
  const damage = (id: string, ...seqs: ReadonlyArray<number>) =>
    Effect.gen(function* () {
      for (const seq of seqs) stores.get(id)!.damage(own, seq)
      const replica = replicas.find((each) => each.id === id)!
      // As a scrub does.
      for (let at = 0; at < 6;) at = yield* replica.logs.check(own, at, 64)
    })
  /** The same of `a`, which may have been started since and hold more. */
  const damageLater = ({ logs }: Cluster.Running, seq: number) =>
    Effect.gen(function* () {
      stores.get("a")!.damage(own, seq)
      for (let at = 0, { seq: end } = logs.head(own); at < end;) at = yield* logs.check(own, at, 64)
    })
  /** Stops all, damages what they hold, and starts those again: what the writer had in memory is gone too. */
  const restart = Effect.fnUntraced(function* (
    on: ReadonlyArray<string>,
    seq: number,
    start: ReadonlyArray<string> = ids
  ) {
    for (const { stop } of replicas) yield* during(stop, 10_000)
    for (const id of on) stores.get(id)!.damage(own, seq)
    return yield* Effect.forEach(start, (id) => cluster.start(id))
  })
  return { cluster, a, b, c, own, damage, damageLater, restart, stores, writes }
})

const value = (replica: Cluster.Running, key: string) =>
  Effect.map(during(replica.records.read("notes", key), 10), (record) =>
    Option.match(record, { onNone: () => undefined, onSome: ({ value }) => new TextDecoder().decode(value) })
  )

const heldBy = (replica: Cluster.Running, log: LogId.LogId) =>
  replica.logs.vector().find((held) => held.log === log)?.seq

describe("L60 DamageIsLocal: a damaged entry", () => {
  it.effect("RecoveringDoesNotVote: comes back from a peer, and until then its replica counts for nothing", () =>
    Effect.gen(function* () {
      const { a, b, cluster, damage, own } = yield* filled()
      cluster.cut("b", "a")
      cluster.cut("b", "c")
      yield* damage("b", 3)
      yield* TestClock.adjust(3000)
      assert.isFalse(b.status().voting)
      assert.isFalse(b.status().readable)
      assert.include(b.status().obstacle!, `entries 3 to 3 of ${own} are damaged here`)
      assert.strictEqual(heldBy(b, own), 2)
      // What it said before is taken back.
      assert.isFalse(a.peers.get(Cluster.id("b")).voting)
      assert.strictEqual(a.peers.get(Cluster.id("b")).watermarks.size, 0)
      cluster.heal()
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(b.status().damaged, [])
      assert.isTrue(b.status().voting)
      assert.isNull(b.status().obstacle)
      assert.strictEqual(heldBy(b, own), 6)
      assert.strictEqual(yield* value(b, "3"), "value of 3")
      assert.strictEqual(a.peers.get(Cluster.id("b")).watermarks.get(own)?.seq, 6)
    })
  )

  it.effect("is fetched when it is found, and not at the next heartbeat", () =>
    Effect.gen(function* () {
      const { b, damage } = yield* filled()
      yield* damage("b", 2, 3, 5)
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(b.logs.damaged(), [])
      assert.isTrue(b.membership.isVoting())
    })
  )

  it.effect(
    "NoResurrection: comes back where the peers have erased other ranges, and what is erased here stays so",
    () =>
      Effect.gen(function* () {
        const { a, b, c, damage, own } = yield* filled()
        const all = Option.getOrThrow(yield* a.logs.read(own, 0, 1 << 20))
        const without = (...seqs: ReadonlyArray<number>) =>
          EntryBatch.erase(all, (seq) => (seqs.includes(seq) ? "superseded" : "kept"))
        for (const peer of [a, c]) yield* peer.logs.erase(without(1, 2, 3, 4))
        yield* b.logs.erase(without(4, 5))
        assert.deepStrictEqual(yield* entriesOf(b, own), [1, 2, 3, 6])
        yield* damage("b", 2)
        yield* TestClock.adjust(5000)
        assert.deepStrictEqual(b.logs.damaged(), [])
        assert.deepStrictEqual(yield* entriesOf(b, own), [6])
      })
  )

  it.effect("comes back although the one beside it is damaged too, and nobody has looked at that yet", () =>
    Effect.gen(function* () {
      const { b, damage, own, stores } = yield* filled()
      stores.get("b")!.damage(own, 4)
      stores.get("b")!.damage(own, 5)
      yield* Effect.ignore(b.logs.read(own, 3, 64))
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(b.logs.damaged(), [])
      assert.strictEqual(heldBy(b, own), 6)
      yield* damage("b")
      assert.deepStrictEqual(b.logs.damaged(), [])
    })
  )

  it.effect("of a replica's own log comes back as any other, and the log goes on", () =>
    Effect.gen(function* () {
      const { a, damage, own } = yield* filled()
      yield* damage("a", 1, 4)
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(a.logs.damaged(), [])
      yield* during(a.writer.commit(put("7"), { w: "all" }), 2000)
      assert.strictEqual(a.logs.own, own)
    })
  )

  it.effect("on every replica, at places of which each has another one, loses nothing", () =>
    Effect.gen(function* () {
      const { a, b, c, damage, own } = yield* filled()
      yield* damage("a", 1, 4)
      yield* damage("b", 2, 5)
      yield* damage("c", 3)
      yield* TestClock.adjust(10_000)
      for (const replica of [a, b, c]) {
        assert.deepStrictEqual(replica.logs.damaged(), [])
        assert.strictEqual(heldBy(replica, own), 6)
        assert.isTrue(replica.membership.isVoting())
        for (const key of keys) assert.strictEqual(yield* value(replica, key), `value of ${key}`)
      }
      yield* during(a.writer.commit(put("7"), { w: "all" }), 2000)
    })
  )

  it.effect("L60 that its owner pushes again is mended by that, and the push costs no link", () =>
    Effect.gen(function* () {
      const { a, b, cluster, damage, own } = yield* filled()
      // Nothing is fetched: only what the owner sends arrives.
      for (const peer of ["a", "c"]) cluster.cut("b", peer)
      yield* damage("b", 3)
      cluster.cut("a", "b")
      yield* TestClock.adjust(10_000)
      assert.strictEqual(heldBy(b, own), 2)
      cluster.join("a", "b")
      const links: Array<string> = []
      a.events.listen((event) => {
        if (event._tag === "LinkChanged" && event.peer === "b") links.push(event.link)
      })
      yield* TestClock.adjust(20_000)
      assert.strictEqual(heldBy(b, own), 6)
      assert.isTrue(b.membership.isVoting())
      assert.deepStrictEqual(links, ["up"])
    })
  )

  it.effect("that a push does not cover leaves the link up, and the owner pushes on once it is mended", () =>
    Effect.gen(function* () {
      const { a, b, cluster, damage, own } = yield* filled()
      yield* during(b.stop, 10_000)
      let isWithheld = true
      const notToday = new ReplicaStore.StoreError({ reason: "unavailable", detail: "not today" })
      for (const link of ["b>a", "b>c"]) {
        cluster.faults.set(link, (client) => ({
          ...client,
          pull: (request) => Effect.suspend(() => (isWithheld ? Effect.fail(notToday) : client.pull(request)))
        }))
      }
      // The first entries are damaged, and what is pushed begins after what is announced: with the seventh.
      yield* damage("b", 3)
      const sixth = a.logs.head(own)
      cluster.faults.set("a>b", (client) => ({
        ...client,
        hello: (request) =>
          Effect.map(client.hello(request), (welcome) => ({
            ...welcome,
            vector: welcome.vector.map((held) => (held.log === own && isWithheld ? sixth : held))
          }))
      }))
      const again = yield* cluster.start("b")
      yield* TestClock.adjust(5000)
      yield* during(a.writer.commit(put("7")), 1000)
      yield* TestClock.adjust(5000)
      assert.strictEqual(a.peers.get(Cluster.id("b")).link._tag, "Up")
      assert.strictEqual(heldBy(again, own), 2)
      isWithheld = false
      yield* TestClock.adjust(30_000)
      assert.strictEqual(heldBy(again, own), 7)
      assert.strictEqual(a.peers.get(Cluster.id("b")).watermarks.get(own)?.seq, 7)
    })
  )

  it.effect("that was damaged when the index was built is in it once it is mended", () =>
    Effect.gen(function* () {
      const { b, cluster, damage } = yield* filled()
      cluster.cut("b", "a")
      cluster.cut("b", "c")
      yield* damage("b", 3)
      yield* during(b.stop, 10_000)
      const again = yield* cluster.start("b")
      yield* TestClock.adjust(2000)
      cluster.heal()
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(again.logs.damaged(), [])
      assert.strictEqual(yield* value(again, "3"), "value of 3")
      const page = yield* during(again.records.page({ limit: 10 }), 10)
      assert.deepStrictEqual([page.unreadable, page.damaged, page.records.length], [[], [], 6])
    })
  )
})

describe("L60 damage that no member can mend", () => {
  it.effect("is named, waited for no more once all have said so, and the writer goes on in another log", () =>
    Effect.gen(function* () {
      const { own, restart, writes } = yield* filled()
      const [a, b, c] = (yield* restart(["a", "b", "c"], 3)) as [Cluster.Running, Cluster.Running, Cluster.Running]
      yield* TestClock.adjust(10_000)
      for (const replica of [a, b, c]) {
        assert.deepStrictEqual(replica.status().lost, [{ log: own, from: 3, to: 3 }])
        assert.deepStrictEqual(replica.status().damaged, [{ log: own, from: 3, to: 3 }])
        assert.isTrue(replica.membership.isVoting())
        assert.strictEqual(yield* value(replica, "4"), "value of 4")
        // The index was built again without them, and reads of a majority go on all the same, of whatever key.
        for (const key of ["3", "4"]) {
          const read = replica.records.read("notes", key, { consistency: "linearizable" })
          assert.strictEqual(Option.isSome(yield* during(read, 100)), key === "4")
        }
      }
      assert.notStrictEqual(a.logs.own, own)
      const receipt = yield* during(a.writer.commit(put("7"), { w: "all" }), 2000)
      const { copies } = yield* during(a.writer.verify({ ...receipt, writeId: writes[2]! }), 1000)
      assert.deepStrictEqual(new Set(Object.values(copies)), new Set(["damaged"]))
    })
  )

  it.effect("keeps what follows it from nobody: that is committed again under the log that its writer goes on in", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster, own, restart } = yield* filled()
      for (const link of ["ab", "ba", "ac", "ca"]) cluster.cut(link[0]!, link[1]!)
      const commit = (key: string) => during(a.writer.commit(put(key), { w: 1 }), 100)
      const receipts = yield* Effect.forEach(["7", "8", "9"], commit)
      // What was written while it was alone, and its first entry is lost before it got to anybody.
      const [again] = (yield* restart(["a"], 7, ["a"])) as [Cluster.Running]
      const others = yield* Effect.forEach(["b", "c"], (id) => cluster.start(id))
      cluster.heal()
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(again.status().lost, [{ log: own, from: 7, to: 7 }])
      for (const replica of [again, ...others]) {
        assert.isTrue(replica.membership.isVoting())
        for (const key of ["8", "9"]) assert.strictEqual(yield* value(replica, key), `value of ${key}`)
        assert.strictEqual(replica.logs.head(again.logs.own).seq, 2)
      }
      assert.deepStrictEqual(
        [b, c].map(({ id }) => id),
        others.map(({ id }) => id)
      )
      const [kept, ...more] = again.status().givenUp
      assert.deepInclude(kept, { log: own, after: 7, upTo: 9, because: "lost", peer: null })
      assert.deepStrictEqual(more, [])
      for (const replica of [again, ...others]) {
        const found = yield* Effect.forEach(receipts, (receipt) => during(replica.writer.verify(receipt), 100))
        assert.deepStrictEqual(
          found.map(({ held, movedTo }) => [held, movedTo?.length]),
          [
            [0, undefined],
            [3, 1],
            [3, 1]
          ]
        )
      }
    })
  )

  it.effect("is followed by entries that are all committed again, once, in whatever order the losses are found", () =>
    Effect.gen(function* () {
      const { a, cluster, damageLater, own, restart } = yield* filled()
      for (const link of ["ab", "ba", "ac", "ca"]) cluster.cut(link[0]!, link[1]!)
      for (const key of ["7", "8", "9", "10", "11", "12"]) yield* during(a.writer.commit(put(key), { w: 1 }), 100)
      const [again] = (yield* restart(["a"], 10, ["a"])) as [Cluster.Running]
      // Nobody gets what is before the first of them that is found.
      for (const link of ["b>a", "c>a"]) {
        cluster.faults.set(link, (client) => ({
          ...client,
          pull: (request) => (request.log === own && request.after >= 6 ? Effect.never : client.pull(request))
        }))
      }
      for (const link of ["a>b", "a>c"]) {
        cluster.faults.set(link, (client) => ({
          ...client,
          push: (request) => (request.batch.log === own ? Effect.never : client.push(request))
        }))
      }
      const others = yield* Effect.forEach(["b", "c"], (id) => cluster.start(id))
      cluster.heal()
      yield* TestClock.adjust(20_000)
      yield* damageLater(again, 7)
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(
        again.status().lost,
        [7, 10].map((seq) => ({ log: own, from: seq, to: seq }))
      )
      const kept = again.status().givenUp.map(({ after, because, upTo }) => [because, after, upTo])
      assert.deepStrictEqual(kept, [
        ["lost", 10, 12],
        ["lost", 7, 9]
      ])
      for (const replica of others) {
        for (const key of ["8", "9", "11", "12"]) assert.strictEqual(yield* value(replica, key), `value of ${key}`)
        assert.strictEqual(replica.logs.head(again.logs.own).seq, 4)
      }
    })
  )

  it.effect("is waited for as long as a member has not said that it lacks it", () =>
    Effect.gen(function* () {
      const { cluster, own, restart } = yield* filled()
      const [, b] = (yield* restart(["a", "b"], 3, ["a", "b"])) as [Cluster.Running, Cluster.Running]
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(b.status().lost, [])
      assert.isFalse(b.membership.isVoting())
      yield* cluster.start("c")
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(b.logs.damaged(), [])
      assert.strictEqual(heldBy(b, own), 6)
      assert.isTrue(b.membership.isVoting())
    })
  )

  it.effect("stops no replica set of one: it is named, and the writer goes on", () =>
    Effect.gen(function* () {
      const { a, damage, own } = yield* filled(["a"])
      yield* damage("a", 3)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(a.status().lost, [{ log: own, from: 3, to: 3 }])
      yield* during(a.writer.commit(put("7")), 100)
      assert.strictEqual(yield* value(a, "4"), "value of 4")
    })
  )
})

describe("L53 an end that is damaged", () => {
  it.effect("of the own log gives its replica another log, and the old one comes back from the peers", () =>
    Effect.gen(function* () {
      const { a, damage, own } = yield* filled()
      yield* damage("a", 5, 6)
      yield* TestClock.adjust(10_000)
      assert.notStrictEqual(a.logs.own, own)
      assert.isTrue(a.membership.isVoting())
      assert.deepStrictEqual(a.logs.damaged(), [])
      assert.strictEqual(heldBy(a, own), 6)
      for (const key of keys) assert.strictEqual(yield* value(a, key), `value of ${key}`)
      yield* during(a.writer.commit(put("7"), { w: "all" }), 2000)
    })
  )

  it.effect("of a copy takes back what was acked of it, and comes back, also when it is found at a start", () =>
    Effect.gen(function* () {
      const { a, b, cluster, damage, own } = yield* filled()
      const { incarnation } = b.logs.identity
      yield* during(b.stop, 10_000)
      yield* damage("b", 6)
      const again = yield* cluster.start("b")
      yield* TestClock.adjust(10_000)
      assert.notStrictEqual(again.logs.identity.incarnation, incarnation)
      assert.isTrue(again.membership.isVoting())
      assert.strictEqual(heldBy(again, own), 6)
      assert.strictEqual(a.peers.get(Cluster.id("b")).incarnation, again.logs.identity.incarnation)
      assert.strictEqual(yield* value(again, "6"), "value of 6")
    })
  )
})
