/** What goes wrong between replicas, and shows in the metrics that are for it. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, HybridLogicalClock, type LogId, ReplicaId } from "@quorum/core"
import { EntryBatch, PeerProtocol, ReplicaStore, RecordIndex, Watermark } from "@quorum/core/adapter"
import { Effect } from "effect"
import * as Replicas from "./support/replicas.ts"

const { commit, pass } = Replicas

const peer = (id: string) => ({ quorum_peer: id })

describe("faults between replicas", () => {
  it.effect("a write whose quorum is waited for again is counted once", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const a = yield* set.start("a")
      yield* set.start("b")
      yield* pass(2000)
      set.cut.add("a>b")
      const exit = yield* commit(a, "one")
      assert.strictEqual(exit._tag, "Failure")
      const [writeId] = /a@[0-9a-f]+:1\.[0-9a-f]{8}/.exec(JSON.stringify(exit)) ?? []
      assert.isDefined(writeId)
      set.cut.clear()
      yield* pass(5000)
      const receipt = yield* a.writer.resume(writeId as Parameters<typeof a.writer.resume>[0])
      assert.strictEqual(receipt.writeId, writeId)
      assert.strictEqual(a.value("commits", { quorum_outcome: "quorum_not_met" }), 1)
      assert.strictEqual(a.value("commits", { quorum_outcome: "committed" }), 0)
      assert.strictEqual(a.value("acks", { result: "late" }), 1)
      assert.strictEqual(a.value("acks", { result: "ack" }), 0)
    })
  )

  it.effect("a copy that differs is counted, and shown as long as it does", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      set.decorations.set("a>b", (client) => ({
        ...client,
        push: (request) => Effect.map(client.push(request), (ack) => ({ ...ack, chain: ack.chain + 1n }) as typeof ack)
      }))
      const a = yield* set.start("a")
      yield* set.start("b")
      yield* pass(2000)
      yield* commit(a, "one")
      assert.isAbove(a.value("drifts")!, 0)
      assert.strictEqual(a.value("acks", { result: "id_drift" }), 1)
      assert.strictEqual(a.value("failures", { reason: "id_drift" }), 1)
      // The ack was wrong and the copy is not, as the next comparison shows.
      assert.strictEqual(a.value("peerDrifted", peer("b")), 0)
      assert.strictEqual(a.value("peerDrifted", peer("c")), 0)
    })
  )

  it.effect("an entry that a peer will not take is counted", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      set.decorations.set("a>b", (client) => ({
        ...client,
        push: () => Effect.fail(new PeerProtocol.PushRejected({ detail: "too large here" }))
      }))
      const a = yield* set.start("a")
      yield* set.start("b")
      yield* pass(2000)
      yield* commit(a, "one")
      assert.isAbove(a.value("peerRejections", peer("b"))!, 0)
      assert.strictEqual(a.value("acks", { result: "rejected" }), 1)
    })
  )

  it.effect("a handshake that is refused is counted on both sides, by its reason", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      set.decorations.set("a>b", (client) => ({
        ...client,
        hello: (request) => client.hello({ ...request, cluster: "another" })
      }))
      const a = yield* set.start("a")
      const b = yield* set.start("b")
      yield* pass(2000)
      const wrong = (direction: string) => ({ quorum_direction: direction, error_type: "wrong_cluster" })
      assert.isAbove(a.value("handshakesRefused", wrong("outgoing"))!, 0)
      assert.isAbove(b.value("handshakesRefused", wrong("incoming"))!, 0)
    })
  )

  it.effect("a connection that is ended for what it costs is counted, by the bound", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const { ended, value } = yield* set.start("a")
      ended("too_many_clients", "10.0.0.1")
      ended("too_many_clients", "10.0.0.2")
      ended("slow_body", undefined)
      yield* pass(100)
      const counted = (reason: string) => value("connectionsEnded", { error_type: reason })
      assert.deepStrictEqual([counted("too_many_clients"), counted("slow_body"), counted("unread")], [2, 1, undefined])
    })
  )

  it.effect("what is fetched from a peer is counted there where it was missed", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const a = yield* set.start("a")
      yield* set.start("b")
      const c = yield* set.start("c")
      yield* pass(2000)
      yield* c.stop
      yield* pass(1000)
      for (const key of ["one", "two", "three"]) yield* commit(a, key)
      yield* a.stop
      const again = yield* set.start("c")
      yield* pass(5000)
      assert.strictEqual(again.value("catchUpEntries", peer("b")), 3)
      assert.isAbove(again.value("catchUpSize", peer("b"))!, 0)
    })
  )

  it.effect("who is away holds back how far all hold the logs, for as long as it is", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const a = yield* set.start("a")
      yield* set.start("b")
      const c = yield* set.start("c")
      yield* pass(2000)
      yield* commit(a, "one")
      yield* pass(2000)
      assert.deepStrictEqual([a.value("peerHoldsBack", peer("b")), a.value("peerHoldsBack", peer("c"))], [0, 0])
      yield* c.stop
      yield* pass(1000)
      yield* commit(a, "two")
      yield* pass(30_000)
      assert.strictEqual(a.value("peerHoldsBack", peer("b")), 0)
      assert.approximately(a.value("peerHoldsBack", peer("c"))!, 30, 2)
      // Nothing is as old as the horizon of stamps in a test of a minute.
      assert.isAbove(a.value("stableTimeAge")!, 30)
      yield* set.start("c")
      yield* pass(20_000)
      assert.strictEqual(a.value("peerHoldsBack", peer("c")), 0)
    })
  )

  it.effect("who is away too long is shown, as one has marked it, and as a majority has", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const a = yield* set.start("a", { awayAfter: "10 seconds" })
      const b = yield* set.start("b", { awayAfter: "30 seconds" })
      const c = yield* set.start("c")
      yield* pass(2000)
      yield* c.stop
      const values = () => [
        a.value("peerAway", peer("b")),
        a.value("peerAway", peer("c")),
        b.value("peerAway", peer("c"))
      ]
      yield* pass(5000)
      assert.deepStrictEqual(values(), [0, 0, 0])
      yield* pass(10_000)
      assert.deepStrictEqual(values(), [0, 1, 0])
      yield* pass(20_000)
      assert.deepStrictEqual(values(), [0, 2, 2])
      yield* set.start("c")
      yield* pass(10_000)
      assert.deepStrictEqual(values(), [0, 0, 0])
    })
  )

  it.effect("damage in the store is shown", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const first = yield* set.start("a")
      yield* first.stop
      const store = set.store("a") as ReplicaStore.MemoryStore
      const log = `a@${store.identity.incarnation}` as LogId.LogId
      // Nobody else has them: they were written while it was alone.
      const writes = Array.from({ length: 8 }, (_, i) => Entry.put("notes", `alone ${i}`, "v"))
      yield* store.append(EntryBatch.encode(Watermark.none(log), writes, HybridLogicalClock.zero, 1).batch)
      for (let seq = 3; seq <= 7; seq++) store.damage(log, seq)
      const a = yield* set.start("a")
      yield* set.start("b")
      yield* set.start("c")
      // All of it is read a minute after the start.
      yield* pass(70_000)
      assert.strictEqual(a.value("damaged"), 5)
      // No member has it, or can ever have had it.
      assert.strictEqual(a.value("lost"), 5)
    })
  )

  it.effect("what a peer misses of another log than the one that this replica began with is as old as it is", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const first = yield* set.start("a")
      yield* set.start("b")
      const c = yield* set.start("c")
      yield* pass(2000)
      yield* commit(first, "before")
      // Nobody else gets what follows: with a part of it lost, it goes on with another log.
      for (const link of ["a>b", "a>c", "b>a", "c>a"]) set.cut.add(link)
      for (const key of ["alone", "lost", "behind"]) yield* commit(first, key)
      yield* first.stop
      const store = set.store("a") as ReplicaStore.MemoryStore
      const log = `a@${store.identity.incarnation}` as LogId.LogId
      store.damage(log, 3)
      set.cut.clear()
      const a = yield* set.start("a")
      yield* pass(70_000)
      assert.notStrictEqual(`a@${store.identity.incarnation}`, log)
      assert.strictEqual(a.value("peerLag", peer("c")), 0)
      const told = a.value("lastAckDuration", {}, "_count")!
      yield* commit(a, "all")
      assert.strictEqual(a.value("lastAckDuration", {}, "_count"), told + 1)
      yield* c.stop
      yield* commit(a, "one")
      yield* commit(a, "two")
      assert.strictEqual(a.value("peerLag", peer("c")), 2)
      assert.closeTo(a.value("peerLagTime", peer("c"))!, 6, 0.5)
      assert.isAbove(a.value("peerLagSize", peer("c"))!, 0)
      assert.isBelow(a.value("peerLagSize", peer("c"))!, 400)
    })
  )

  it.effect("what compaction erases is counted, and what is live, and what may go, is shown", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const a = yield* set.start("a")
      yield* set.start("b")
      yield* set.start("c")
      yield* pass(2000)
      for (let i = 0; i < 2; i++) yield* commit(a, "one")
      yield* pass(15_000)
      const entry = a.value("liveSize")!
      assert.isAbove(entry, 0)
      assert.deepStrictEqual([a.value("erasedSize"), a.value("reclaimableSize"), a.value("storeFree")], [entry, 0, 0])
    })
  )

  it.effect("an index that cannot be written is behind from the start on, also while nothing is appended", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const first = yield* set.start("a")
      yield* set.start("b")
      yield* pass(2000)
      yield* commit(first, "one")
      yield* first.stop
      const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "ENOSPC" })
      const index = { ...(yield* RecordIndex.makeMemory), merge: () => Effect.fail(full) }
      const a = yield* set.start("a", { index })
      yield* pass(90_000)
      assert.strictEqual(a.value("indexWaiting"), 1)
      assert.closeTo(a.value("indexDelay")!, 90, 1)
    })
  )

  it.effect("damage that is mended is counted, and when all was read again last is shown", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const first = yield* set.start("a")
      yield* set.start("b")
      yield* pass(2000)
      for (const key of ["one", "two", "three", "four"]) yield* commit(first, key)
      const store = set.store("a") as ReplicaStore.MemoryStore
      const log = `a@${store.identity.incarnation}` as LogId.LogId
      yield* first.stop
      for (const seq of [2, 3]) store.damage(log, seq)
      const a = yield* set.start("a")
      yield* pass(5000)
      assert.deepStrictEqual([a.value("mended"), a.value("damaged")], [2, 0])
      yield* pass(50_000)
      assert.isAbove(a.value("scrubAge")!, 50)
      yield* pass(10_000)
      assert.isBelow(a.value("scrubAge")!, 10)
    })
  )

  it.effect("a scrub that cannot read is counted, by the reason", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
      let isFailing = true
      const failing = new ReplicaStore.StoreError({ reason: "unavailable", detail: "EIO" })
      set.replaceStore("a", {
        ...store,
        get identity() {
          return store.identity
        },
        check: (log, after, maxBytes) => (isFailing ? Effect.fail(failing) : store.check(log, after, maxBytes))
      })
      const a = yield* set.start("a")
      yield* set.start("b")
      yield* pass(2000)
      yield* commit(a, "one")
      const failures = () => a.value("scrubFailures", { error_type: "unavailable" })
      assert.strictEqual(failures(), 0)
      // A minute after the start, and again a minute after that.
      yield* pass(121_000)
      assert.strictEqual(failures(), 2)
      assert.isAbove(a.value("scrubAge")!, 120)
      isFailing = false
      yield* pass(60_000)
      assert.strictEqual(failures(), 2)
      assert.isBelow(a.value("scrubAge")!, 10)
    })
  )

  it.effect("a disk that stands still is shown from a second on, until it answers", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const a = yield* set.start("a")
      const b = yield* set.start("b")
      yield* pass(2000)
      a.faults.inject({ _tag: "SlowDisk", wait: Effect.sleep(8000) })
      yield* Effect.forkChild(a.writer.commit(Entry.put("notes", "slow", "v")))
      yield* pass(900)
      assert.strictEqual(a.value("diskStalled"), 0)
      yield* pass(6100)
      assert.closeTo(a.value("diskStalled")!, 7, 0.1)
      assert.strictEqual(b.value("diskStalled"), 0)
      yield* pass(1500)
      assert.strictEqual(a.value("diskStalled"), 0)
    })
  )

  it.effect("what waits for a slow disk is shown", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const a = yield* set.start("a")
      yield* set.start("b")
      yield* pass(2000)
      a.faults.inject({ _tag: "SlowDisk", wait: Effect.sleep(700) })
      yield* Effect.forkChild(a.writer.commit(Entry.put("notes", "slow", "v")))
      yield* pass(300)
      yield* Effect.forkChild(a.writer.commit(Entry.put("notes", "behind", "four")))
      yield* pass(50)
      assert.strictEqual(a.value("writesWaiting"), 2)
      assert.strictEqual(a.value("waitingSize"), 4)
      assert.isAbove(a.value("writesLimit")!, 1000)
      assert.isAbove(a.value("waitingSizeLimit")!, 1_000_000)
      yield* pass(1000)
      assert.deepStrictEqual([a.value("writesWaiting"), a.value("waitingSize")], [0, 0])
      assert.strictEqual(a.value("appendDuration", { quorum_log: "own", le: "0.5" }, "_bucket"), 1)
      assert.strictEqual(a.value("appendDuration", { quorum_log: "own", le: "1" }, "_bucket"), 2)
    })
  )

  it.effect("what is on its way to a slow peer is shown, and how long it was until it held a write as the last", () =>
    Effect.gen(function* () {
      const set = yield* Replicas.make
      const a = yield* set.start("a")
      yield* set.start("b")
      yield* set.start("c")
      yield* pass(2000)
      const look = (id: string) => (["peerPushes", "peerConnectionSize"] as const).map((key) => a.value(key, peer(id)))
      assert.deepStrictEqual(look("c"), [0, 0])
      assert.strictEqual(a.value("peerPushesLimit"), 4)
      set.slow.set("a>c", 1500)
      set.waitingBytes.set("c", 1000)
      yield* Effect.forkChild(a.writer.commit(Entry.put("notes", "k", "v")))
      yield* pass(500)
      assert.deepStrictEqual(look("c"), [1, 1000])
      assert.isAbove(a.value("peerPushSize", peer("c"))!, 0)
      assert.deepStrictEqual([a.value("peerPushes", peer("b")), a.value("peerPushSize", peer("b"))], [0, 0])
      assert.strictEqual(a.value("commits", { quorum_outcome: "committed" }), 1)
      assert.strictEqual(a.value("lastAckDuration", {}, "_count"), 0)
      yield* pass(1500)
      set.waitingBytes.clear()
      assert.deepStrictEqual(look("c"), [0, 0])
      assert.strictEqual(a.value("peerPushSize", peer("c")), 0)
      assert.strictEqual(a.value("lastAckDuration", {}, "_count"), 1)
      assert.strictEqual(a.value("lastAckDuration", { le: "1" }, "_bucket"), 0)
      assert.strictEqual(a.value("lastAckDuration", { le: "2" }, "_bucket"), 1)
    })
  )
})
