import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, HybridLogicalClock, LogId } from "../src/index.ts"
import { EntryBatch, PeerProtocol, ReplicaStore, Watermark } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { says } from "./support/greeting.ts"
import { during } from "./support/time.ts"

const put = (key: string, value = "v") => Entry.put("notes", key, value)

const three = Effect.gen(function* () {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  const a = yield* cluster.start("a")
  const b = yield* cluster.start("b")
  const c = yield* cluster.start("c")
  yield* TestClock.adjust(1000)
  return { cluster, a, b, c }
})

const vectorOf = (replica: Cluster.Running) => [...replica.logs.vector()].sort((x, y) => (x.log < y.log ? -1 : 1))

describe("Replication", () => {
  it.effect("replicas that all wrote end with the same logs and the same records", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* three
      yield* during(
        Effect.all(
          [a, b, c].flatMap((replica) =>
            Array.from({ length: 50 }, (_, i) => replica.writer.commit(put(`k${i % 7}`, `${replica.id}${i}`)))
          ),
          { concurrency: "unbounded" }
        ),
        100
      )
      yield* TestClock.adjust(3000)
      assert.strictEqual(a.logs.vector().length, 3)
      assert.deepStrictEqual(vectorOf(b), vectorOf(a))
      assert.deepStrictEqual(vectorOf(c), vectorOf(a))
      const pages = yield* Effect.forEach([a, b, c], ({ records }) => records.page({ limit: 100 }))
      assert.strictEqual(pages[0]!.records.length, 7)
      assert.deepStrictEqual(pages[1], pages[0])
      assert.deepStrictEqual(pages[2], pages[0])
    })
  )

  it.effect("L30 a backlog of many pages is pulled in one go, not a page per heartbeat", () =>
    Effect.gen(function* () {
      const { a, c, cluster } = yield* three
      cluster.cut("a", "c")
      cluster.cut("c", "a")
      const value = "x".repeat(600_000)
      for (let i = 0; i < 8; i++) yield* during(a.writer.commit(put(`k${i}`, value)), 10)
      yield* during(a.stop, 5000)
      // One heartbeat of b's replicator on c's side is enough for eight pages.
      yield* TestClock.adjust(2000)
      assert.strictEqual(c.logs.head(a.logs.own).seq, 8)
    })
  )

  it.effect("a wiped replica starts a new log and gets its old one back from its peers", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* three
      yield* during(a.writer.commit(put("before")), 10)
      yield* TestClock.adjust(1000)
      const old = a.logs.head(a.logs.own)
      yield* during(a.stop, 5000)
      cluster.wipe("a")
      const again = yield* cluster.start("a")
      yield* TestClock.adjust(10_000)
      assert.notStrictEqual(again.logs.own, old.log)
      assert.deepStrictEqual(again.logs.head(old.log), old)
      const receipt = yield* during(again.writer.commit(put("after")), 100)
      assert.strictEqual(receipt.writeId, yield* Cluster.idAt(again.logs, 1))
    })
  )

  it.effect("a peer that was wiped no longer counts as a holder of what it had acked", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      const a = yield* cluster.start("a")
      const b = yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      const { writeId } = yield* during(a.writer.commit(put("k")), 10)
      yield* during(b.stop, 5000)
      cluster.wipe("b")
      // The new b is reached and says what it holds, and gets nothing yet.
      cluster.faults.set("a>b", (client) => ({ ...client, push: () => Effect.never }))
      cluster.faults.set("b>a", (client) => ({ ...client, pull: () => Effect.never }))
      yield* cluster.start("b")
      yield* TestClock.adjust(1500)
      assert.deepStrictEqual<ReadonlyArray<string>>((yield* a.writer.status(writeId)).holders, ["a"])
    })
  )

  it.effect("L53 a replica on an older copy of its store opens another log, and gets the rest of the old one", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* three
      for (let i = 0; i < 5; i++) yield* during(a.writer.commit(put(`k${i}`)), 10)
      yield* TestClock.adjust(1000)
      yield* during(a.stop, 5000)
      const full = yield* cluster.storeOf("a")
      const old = a.logs.own
      const backup = EntryBatch.take(Option.getOrThrow(yield* full.read(old, 0, 1_000_000)), 60)
      const restored = yield* ReplicaStore.makeMemory(full.identity)
      yield* restored.append(backup)
      cluster.stores.set("a", restored)
      const again = yield* cluster.start("a")
      assert.isBelow(again.logs.head(old).seq, 5)
      const receipt = yield* during(again.writer.commit(put("next")), 1200)
      assert.notStrictEqual(again.logs.own, old)
      assert.strictEqual(receipt.writeId, yield* Cluster.idAt(again.logs, 1))
      assert.deepStrictEqual(again.logs.head(old), a.logs.head(old))
    })
  )

  it.effect.each([1, 3])(
    "OneEntryPerPlace: two stores that differ in a log, %d entries there, keep both sides, and writes go on in another log",
    (count) =>
      Effect.gen(function* () {
        const { a, b, cluster } = yield* three
        for (let i = 0; i < count; i++) yield* during(a.writer.commit(put("k", "here")), 10)
        yield* TestClock.adjust(1000)
        yield* during(a.stop, 5000)
        const held = b.logs.head(a.logs.own)
        // A copy of the store, from before the write, that went its own way.
        const { identity } = yield* cluster.storeOf("a")
        const copy = yield* ReplicaStore.makeMemory(identity)
        const fork = EntryBatch.encode(Watermark.none(a.logs.own), [put("k", "there")], HybridLogicalClock.zero, 1)
        yield* copy.append(fork.batch)
        cluster.stores.set("a", copy)
        const again = yield* cluster.start("a")
        yield* TestClock.adjust(5000)
        assert.notStrictEqual(again.logs.own, a.logs.own)
        yield* during(again.writer.commit(put("more")), 100)
        assert.strictEqual(again.peers.get(b.id).drifted.size + b.peers.get(a.id).drifted.size, 0)
        // That of those who vote stays, though the other was begun before it, and is in a log of who held it alone.
        assert.deepStrictEqual(b.logs.head(a.logs.own), held)
        assert.deepStrictEqual(again.logs.head(a.logs.own), held)
        const kept = Option.getOrThrow(yield* b.logs.read(again.logs.own, 0, 1))
        assert.deepStrictEqual(Entry.decodeAt(kept.bytes, 0).records, [put("k", "there")])
        assert.strictEqual(b.logs.head(again.logs.own).seq, 2)
      })
  )

  it.effect(
    "a push whose answer is lost is neither lost nor counted, and the replicator goes on from the watermark",
    () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b"], 2)
        let lost = 0
        cluster.faults.set("a>b", (client) => ({
          ...client,
          push: (request) => (lost++ < 1 ? Effect.andThen(client.push(request), Effect.never) : client.push(request))
        }))
        const a = yield* cluster.start("a", { policy: Cluster.policy(2, 2, { ackTimeout: 60_000 }) })
        const b = yield* cluster.start("b")
        yield* TestClock.adjust(1000)
        const fiber = yield* Effect.forkChild(a.writer.commit(put("k")))
        yield* TestClock.adjust(500)
        assert.strictEqual(b.logs.head(a.logs.own).seq, 1)
        yield* TestClock.adjust(5000)
        const receipt = yield* Fiber.join(fiber)
        assert.deepStrictEqual<ReadonlyArray<string>>(
          receipt.acked.map(({ replica }) => replica),
          ["a", "b"]
        )
        assert.strictEqual(b.logs.head(a.logs.own).seq, 1)
      })
  )

  /** Pushes of single entries from `a` to `b`, each answered after as long as `answer` says, or never. */
  const slowPushes = Effect.fnUntraced(function* (answer: (seq: number) => number) {
    const cluster = yield* Cluster.make(["a", "b"], 1)
    let connections = 0
    cluster.faults.set("a>b", (client) => {
      connections++
      return {
        ...client,
        push: (request) =>
          Effect.andThen(client.push(request), (ack) => {
            const millis = connections === 1 ? answer(request.batch.from) : 0
            return Effect.as(millis === Infinity ? Effect.never : Effect.sleep(millis), ack)
          })
      }
    })
    const a = yield* cluster.start("a")
    const b = yield* cluster.start("b")
    yield* TestClock.adjust(1000)
    assert.strictEqual(connections, 1)
    return { a, b, connections: () => connections }
  })

  it.effect("one push without an answer ends the connection, though later ones are answered", () =>
    Effect.gen(function* () {
      const { a, b, connections } = yield* slowPushes((seq) => (seq === 2 ? Infinity : seq === 1 ? 0 : 1000))
      yield* during(a.writer.commit(put("k1")), 10)
      // The second is pushed now; others follow it every 100 ms, are answered after a second, and overlap.
      for (let i = 2; i < 20; i++) yield* during(a.writer.commit(put(`k${i}`)), 100)
      yield* TestClock.adjust(199)
      assert.strictEqual(connections(), 1)
      assert.strictEqual(a.peers.get(b.id).link._tag, "Up")
      yield* TestClock.adjust(1)
      const { link } = a.peers.get(b.id)
      assert.deepStrictEqual(link._tag === "Down" ? link.verdict : link, { _tag: "timed_out" })
      yield* TestClock.adjust(1000)
      assert.strictEqual(connections(), 2)
    })
  )

  it.effect("pushes that are each answered in time keep their connection, however long all of them take", () =>
    Effect.gen(function* () {
      const { a, b, connections } = yield* slowPushes(() => 1999)
      for (let i = 0; i < 100; i++) yield* during(a.writer.commit(put(`k${i}`)), 150)
      yield* TestClock.adjust(4000)
      assert.strictEqual(connections(), 1)
      assert.strictEqual(a.peers.get(b.id).link._tag, "Up")
      assert.strictEqual(a.peers.get(b.id).watermarks.get(a.logs.own)?.seq, 100)
      // Time without a push counts for nothing.
      yield* TestClock.adjust(60_000)
      yield* during(a.writer.commit(put("later")), 2100)
      assert.strictEqual(connections(), 1)
    })
  )

  it.effect("L14 a replica that answers at another's address is refused and never counted", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const c = yield* cluster.start("c")
      cluster.faults.set("a>b", () => {
        const refuse = Effect.die("not under test")
        return {
          hello: (request) =>
            Effect.succeed({
              cluster: request.cluster,
              replica: c.id,
              ...says(c.logs.identity.incarnation),
              vector: [],
              session: "s",
              receivedAt: 0,
              sentAt: 0
            }),
          push: () => refuse,
          probe: () => refuse,
          pull: () => refuse,
          read: () => refuse,
          verify: () => refuse
        }
      })
      yield* cluster.start("b")
      const a = yield* cluster.start("a")
      yield* TestClock.adjust(1000)
      const { link } = a.peers.get(Cluster.id("b"))
      assert.isTrue(link._tag === "Down" && link.detail.includes("wrong_replica"))
    })
  )

  it.effect("a pull that answers something else than was asked for appends nothing", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* three
      cluster.cut("a", "c")
      cluster.cut("c", "a")
      yield* during(a.writer.commit(put("k")), 10)
      yield* c.stop
      const forged = EntryBatch.encode(
        Watermark.none(a.logs.own),
        [put("evil"), put("evil")],
        HybridLogicalClock.zero,
        1
      ).batch
      cluster.faults.set("c>b", (client) => ({
        ...client,
        pull: () => Effect.succeed({ batch: { ...forged, bytes: forged.bytes.slice(1) } })
      }))
      const again = yield* cluster.start("c")
      yield* TestClock.adjust(3000)
      assert.strictEqual(again.logs.head(a.logs.own).seq, 0)
      assert.strictEqual(b.logs.head(a.logs.own).seq, 1)
    })
  )
})

describe("PeerHandler", () => {
  const hello = (change: Partial<PeerProtocol.Hello> = {}): PeerProtocol.Hello => ({
    version: PeerProtocol.versions[0],
    cluster: "test",
    replica: Cluster.id("b"),
    ...says("00000000000000bb"),
    vector: [],
    sentAt: 0,
    ...change
  })

  const alone = Effect.gen(function* () {
    const cluster = yield* Cluster.make(["a", "b", "c"], 2)
    const a = yield* cluster.start("a")
    return { a, client: yield* cluster.network.connect(a.id) }
  })

  const batchOf = (log: LogId.LogId, ...keys: ReadonlyArray<string>) =>
    EntryBatch.encode(
      Watermark.none(log),
      keys.map((key) => put(key)),
      HybridLogicalClock.zero,
      1
    ).batch

  it.effect(
    "L13 L39 refuses another version, cluster, self, a stranger and a proven other identity, each by its reason",
    () =>
      Effect.gen(function* () {
        const { client } = yield* alone
        const cases: ReadonlyArray<readonly [Partial<PeerProtocol.Hello>, PeerProtocol.HandshakeRefused["reason"]]> = [
          [{ version: 99 }, "version"],
          [{ cluster: "other" }, "wrong_cluster"],
          [{ replica: Cluster.id("a") }, "self"],
          [{ replica: Cluster.id("z") }, "stranger"]
        ]
        for (const [change, reason] of cases) {
          const error = yield* Effect.flip(client.hello(hello(change)))
          assert.deepInclude({ ...error }, { reason })
          // What the caller said may come back, and nothing that it did not know.
          assert.notMatch(error.message, /\btest\b/)
        }
        const proven = Effect.provideService(
          client.hello(hello()),
          PeerProtocol.ProvenIdentity,
          Option.some(Cluster.id("c"))
        )
        assert.deepInclude({ ...(yield* Effect.flip(proven)) }, { reason: "identity_mismatch" })
      }).pipe(Effect.scoped)
  )

  it.effect("refuses a second live replica of the same id, and takes it when the first has been silent", () =>
    Effect.gen(function* () {
      const { client } = yield* alone
      yield* client.hello(hello())
      const other = hello(says("00000000000000cc"))
      assert.deepInclude({ ...(yield* Effect.flip(client.hello(other))) }, { reason: "duplicate" })
      yield* TestClock.adjust(3001)
      yield* client.hello(other)
    }).pipe(Effect.scoped)
  )

  it.effect("L32 L39 a peer may push its own log only, so nothing that was pulled is echoed", () =>
    Effect.gen(function* () {
      const { a, client } = yield* alone
      const { session } = yield* client.hello(hello())
      for (const log of [a.logs.own, LogId.make(Cluster.id("c"), hello().incarnation)]) {
        const error = yield* Effect.flip(client.push({ session, batch: batchOf(log, "k") }))
        assert.strictEqual(error._tag, "PushRejected")
        assert.strictEqual(a.logs.head(log).seq, 0)
      }
    }).pipe(Effect.scoped)
  )

  it.effect(
    "L11 acks an append by log, place, chain and its own id, again for a repeat, and refuses gap, drift and damage",
    () =>
      Effect.gen(function* () {
        const { a, client } = yield* alone
        const { session } = yield* client.hello(hello())
        const log = LogId.make(Cluster.id("b"), hello().incarnation)
        const batch = batchOf(log, "x", "y", "z")
        const ack = yield* client.push({ session, batch })
        assert.deepStrictEqual(ack, {
          replica: a.id,
          incarnation: a.logs.identity.incarnation,
          log,
          seq: 3,
          chain: batch.chain,
          members: ack.members,
          clock: EntryBatch.highestClock(batch),
          voting: true
        })
        assert.deepStrictEqual(yield* client.push({ session, batch }), ack)

        const next = EntryBatch.encode(EntryBatch.watermark(batch), [put("w")], HybridLogicalClock.zero, 2).batch
        const gap = yield* Effect.flip(client.push({ session, batch: { ...next, from: 9 } }))
        assert.isTrue(gap._tag === "AppendGap" && gap.head.seq === 3)
        const drift = yield* Effect.flip(client.push({ session, batch: batchOf(log, "x", "other", "z") }))
        assert.strictEqual(drift._tag, "AppendDrift")
        const damaged = { ...next, bytes: next.bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte)) }
        assert.strictEqual((yield* Effect.flip(client.push({ session, batch: damaged })))._tag, "PushRejected")
        assert.strictEqual(a.logs.head(log).chain, batch.chain)
      }).pipe(Effect.scoped)
  )
})
