/** What core does when something around it fails: stores and peers. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, HybridLogicalClock, LogId } from "../src/index.ts"
import { EntryBatch, PeerProtocol, ReplicaStore, Watermark } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { says } from "./support/greeting.ts"
import { during, failure } from "./support/time.ts"

const put = (key: string, value: Uint8Array | string = "v") => Entry.put("notes", key, value)
const [idA, idB, idC] = [Cluster.id("a"), Cluster.id("b"), Cluster.id("c")]
const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "no space left" })

/** Starts `a` on a store that has lost all, and says how the peers' copies of its log are read. */
const emptied = Effect.fnUntraced(function* (
  pull: (n: number) => Effect.Effect<void, PeerProtocol.PullError | PeerProtocol.PeerUnreachable>
) {
  const { a, b, cluster } = yield* Cluster.running("abc", 2)
  const { identity } = yield* cluster.storeOf("a")
  yield* during(a.writer.commit(put("k")), 2000)
  yield* during(a.stop, 4000)
  cluster.stores.set("a", yield* ReplicaStore.makeMemory(identity))
  let pulls = 0
  for (const peer of ["b", "c"]) {
    cluster.faults.set(`a>${peer}`, (client) => ({
      ...client,
      pull: (request) => Effect.andThen(pull(++pulls), client.pull(request))
    }))
  }
  const again = yield* cluster.start("a")
  // What it does not answer would keep it from stopping.
  yield* Effect.addFinalizer(() => during(again.stop, 4000))
  return { again, b, old: a.logs.own, pulls: () => pulls, write: again.writer.commit(put("next")) }
})

describe("start", () => {
  it.effect("connections that are lost while the old log is fetched do not let a write in before the rest", () =>
    Effect.gen(function* () {
      const gone = new PeerProtocol.PeerUnreachable({ peer: idB, reason: "refused", detail: "lost" })
      // Once, and for longer than peers are waited for.
      for (const times of [1, 10]) {
        const { again, b, old, pulls, write } = yield* emptied((n) => (n <= times ? Effect.fail(gone) : Effect.void))
        const receipt = yield* during(write, 10_000)
        assert.isAbove(pulls(), times)
        assert.strictEqual(receipt.writeId, yield* Cluster.idAt(again.logs, 1))
        assert.deepStrictEqual(b.logs.head(old), again.logs.head(old))
        assert.isTrue(Option.isSome(yield* again.records.read("notes", "k")))
      }
    })
  )

  it.effect("a peer's store that fails while the old log is fetched from it is asked again", () =>
    Effect.gen(function* () {
      const { again, write } = yield* emptied((n) => (n === 1 ? Effect.fail(full) : Effect.void))
      assert.strictEqual((yield* during(write, 10_000)).writeId, yield* Cluster.idAt(again.logs, 1))
    })
  )

  it.effect("L55 while the rest cannot be fetched a write is answered as not written, and a read is refused", () =>
    Effect.gen(function* () {
      const { again, old, write } = yield* emptied(() => Effect.fail(full))
      const error = yield* during(failure(write, "NotReady"), 13_000)
      assert.include(error.detail, "entries of 2 logs have to be fetched")
      assert.strictEqual(again.logs.head(again.logs.own).seq, 0)
      assert.strictEqual(again.logs.head(old).seq, 0)
      yield* failure(again.records.read("notes", "k"), "NotReady")
      yield* failure(again.records.page({ limit: 1 }), "NotReady")
    })
  )

  it.effect(
    "a write waits beyond its time at a replica that has just started, and not at one that recovers for longer",
    () =>
      Effect.gen(function* () {
        const { again, write } = yield* emptied(() => Effect.fail(full))
        const first = yield* Effect.forkChild(failure(write, "NotReady"))
        yield* TestClock.adjust(11_900)
        assert.isUndefined(first.pollUnsafe())
        yield* TestClock.adjust(200)
        assert.isDefined(first.pollUnsafe())
        yield* TestClock.adjust(60_000)
        const later = yield* Effect.forkChild(failure(again.writer.commit(put("later")), "NotReady"))
        yield* TestClock.adjust(1900)
        assert.isUndefined(later.pollUnsafe())
        yield* TestClock.adjust(300)
        assert.isDefined(later.pollUnsafe())
        assert.include((yield* Fiber.join(later)).detail, "entries of 2 logs have to be fetched")
      })
  )

  it.effect("nothing is told of a write that was taken back before it was answered as not written", () =>
    Effect.gen(function* () {
      const { again, write } = yield* emptied(() => Effect.fail(full))
      const told: Array<string> = []
      const commit = (key: string) =>
        again.writer.commitUnsafe(Entry.put("notes", key, "v"), (outcome) => void told.push(`${key}: ${outcome._tag}`))
      commit("kept")
      commit("gone")()
      yield* during(failure(write, "NotReady"), 13_000)
      assert.deepStrictEqual(told, ["kept: Failure"])
    })
  )

  it.effect("peers that cannot be reached, or are silent, are waited for one heartbeat and no longer", () =>
    Effect.gen(function* () {
      // A request to a silent peer ends after two seconds; the pause between two tries is a little over one at most.
      for (const [silent, until] of [
        [false, 2300],
        [true, 3000]
      ] as const) {
        const cluster = yield* Cluster.make(["a", "b", "c"], 1)
        if (silent) yield* cluster.start("b")
        cluster.cut("a", "b")
        const a = yield* cluster.start("a")
        const write = yield* Effect.forkChild(a.writer.commit(put("k")))
        yield* TestClock.adjust(999)
        assert.isUndefined(write.pollUnsafe())
        const receipt = yield* during(Fiber.join(write), until - 999)
        assert.strictEqual(receipt.writeId, yield* Cluster.idAt(a.logs, 1))
      }
    })
  )
})

describe("a store that fails", () => {
  it.effect("NotWrittenMeansNever: an append of unknown outcome is not known, and no further write is taken", () =>
    Effect.gen(function* () {
      const uncertain = new ReplicaStore.StoreError({ reason: "uncertain", detail: "the file is gone" })
      for (const outcome of [Effect.die("the worker crashed"), Effect.fail(uncertain)]) {
        const cluster = yield* Cluster.make(["a"], 1)
        yield* Cluster.withStore(
          cluster,
          "a",
          (append) => (batch) => (batch.from === 1 ? Effect.andThen(append(batch), outcome) : append(batch))
        )
        const a = yield* cluster.start("a")
        const error = yield* failure(a.writer.commit(put("k")), "WriteUncertain")
        assert.notProperty(error, "writeId")
        assert.notInclude(error.message, "nothing was written")
        const later = yield* failure(a.writer.commit(put("later")), "LocalWriteFailed")
        assert.include(later.message, "restart this replica")
        yield* during(a.stop, 4000)
        // It was there: this store failed after it had written.
        const again = yield* cluster.start("a")
        assert.isTrue(Option.isSome(yield* again.records.read("notes", "k")))
        assert.isTrue(Option.isNone(yield* again.records.read("notes", "later")))
      }
    })
  )

  // The appender goes on with what waits, at the place that the caller of the first was told is its own.
  it.effect("NotWrittenMeansNever: a write that waits behind an append of unknown outcome is not taken either", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const gate = yield* Deferred.make<void>()
      let appends = 0
      yield* Cluster.withStore(
        cluster,
        "a",
        (append) => (batch) =>
          appends++ === 0 ? Effect.andThen(Deferred.await(gate), Effect.die("the worker crashed")) : append(batch)
      )
      const a = yield* cluster.start("a")
      const first = yield* Effect.forkChild(failure(a.writer.commit(put("first")), "WriteUncertain"))
      yield* TestClock.adjust(1)
      const second = yield* Effect.forkChild(failure(a.writer.commit(put("second")), "LocalWriteFailed"))
      yield* TestClock.adjust(1)
      yield* Deferred.succeed(gate, undefined)
      assert.notProperty(yield* Fiber.join(first), "writeId")
      yield* Fiber.join(second)
      assert.strictEqual(appends, 1)
    })
  )

  it.effect("a write that the store says it did not take is a failed local write, and a later one may succeed", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      let appends = 0
      yield* Cluster.withStore(
        cluster,
        "a",
        (append) => (batch) => (appends++ === 0 ? Effect.fail(full) : append(batch))
      )
      const a = yield* cluster.start("a")
      yield* failure(a.writer.commit(put("k")), "LocalWriteFailed")
      assert.strictEqual((yield* a.writer.commit(put("later"))).writeId, yield* Cluster.idAt(a.logs, 1))
    })
  )

  it.effect("L22 a peer that cannot store is asked ever less often, and counts as down after the time of a write", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      yield* Cluster.withStore(cluster, "b", () => () => Effect.fail(full))
      const pushes: Array<number> = []
      cluster.faults.set("a>b", (client) => ({
        ...client,
        push: (request) =>
          Effect.flatMap(Clock.currentTimeMillis, (at) => {
            pushes.push(at)
            return client.push(request)
          })
      }))
      const [a] = [yield* cluster.start("a"), yield* cluster.start("b")]
      yield* TestClock.adjust(1000)
      yield* during(failure(a.writer.commit(put("k")), "QuorumNotMet"), 2001)
      const error = yield* failure(a.writer.commit(put("k")), "QuorumUnavailable")
      assert.deepStrictEqual(error.verdicts[idB], { _tag: "refused", detail: full.message })
      yield* TestClock.adjust(60_000)
      const pauses = pushes.slice(1).map((at, i) => at - pushes[i]!)
      assert.isBelow(pauses[0]!, 100)
      assert.isAtLeast(Math.min(...pauses.slice(10)), 800)
      assert.isBelow(pushes.length, 80)
    })
  )

  // `failsToStore` is only taken back by an ack of a push, and a replica that counts nobody as alive pushes nothing.
  it.effect("Liveness: a replica whose disk was full for a while commits again when there is room", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      let room = false
      yield* Cluster.withStore(cluster, "c", (append) => (batch) => (room ? append(batch) : Effect.fail(full)))
      const [a, , c] = [yield* cluster.start("a"), yield* cluster.start("b"), yield* cluster.start("c")]
      yield* TestClock.adjust(1000)
      yield* during(a.writer.commit(put("k")), 10_000)
      room = true
      yield* TestClock.adjust(10_000)
      assert.strictEqual(c.logs.head(a.logs.own).seq, 1)
      yield* during(c.writer.commit(put("k")), 3000)
      yield* during(a.writer.commit(put("k"), { w: 3 }), 3000)
    })
  )
})

describe("a peer that fails", () => {
  it.effect("a defect in a handshake or in a push ends the connection, and not the replicator", () =>
    Effect.gen(function* () {
      for (const call of ["hello", "push"] as const) {
        const cluster = yield* Cluster.make(["a", "b"], 2)
        let calls = 0
        cluster.faults.set("a>b", (client) => ({
          ...client,
          [call]: (request: never) => (calls++ === 0 ? Effect.die("a bug") : client[call](request))
        }))
        // Nothing but a push can bring the write.
        cluster.faults.set("b>a", (client) => ({ ...client, pull: () => Effect.succeed({ batch: null }) }))
        const [a] = [yield* cluster.start("a"), yield* cluster.start("b")]
        const receipt = yield* during(a.writer.commit(put("k")), 3000)
        assert.deepStrictEqual(
          receipt.acked.map(({ replica }) => replica),
          [idA, idB]
        )
        assert.isAtLeast(calls, 2)
      }
    })
  )

  it.effect.each(["is damaged", "cannot be read there"])(
    "L28 a peer whose copy of another's log %s still gets pushes, and commits go on",
    (what) =>
      Effect.gen(function* () {
        const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
        let damaged = 0
        for (const [from, to] of ["ab", "ba", "cb"] as const) cluster.cut(from!, to!)
        cluster.faults.set("b>c", (client) => ({
          ...client,
          // The pull fails while a push is under way.
          push: (request) => Effect.delay(client.push(request), 400),
          pull: (request) =>
            Effect.flatMap(Effect.delay(client.pull(request), 20), ({ batch }) => {
              if (batch === null || request.log !== a.logs.own) return Effect.succeed({ batch })
              damaged++
              if (what === "is damaged") {
                const bytes = batch.bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte))
                return Effect.succeed({ batch: { ...batch, bytes } })
              }
              return Effect.fail(new ReplicaStore.StoreError({ reason: "corrupt", detail: "it cannot be read" }))
            })
        }))
        // A new connection, which the fault is on.
        cluster.cut("b", "c")
        yield* TestClock.adjust(4000)
        yield* during(a.writer.commit(put("k")), 10)
        yield* during(a.stop, 4000)
        cluster.heal()
        yield* TestClock.adjust(3000)
        for (let i = 0; i < 4; i++) {
          assert.deepStrictEqual(
            (yield* during(b.writer.commit(put(`b${i}`)), 1500)).acked.map(({ replica }) => replica),
            [idB, idC]
          )
        }
        assert.isAtLeast(damaged, 5)
        assert.deepStrictEqual(
          [b, c].map(({ logs }) => logs.head(a.logs.own).seq),
          [0, 1]
        )
      })
  )

  it.effect("Liveness: a link that is too slow for large batches carries smaller ones", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("ab", 1, "a")
      for (let i = 0; i < 20; i++) yield* during(a.writer.commit(put(`k${i}`, new Uint8Array(100_000))), 1000)
      const bytesPerMilli = 300
      const sent: Array<number> = []
      let freeAt = 0
      cluster.faults.set("a>b", (client) => ({
        ...client,
        push: (request) =>
          Effect.flatMap(Clock.currentTimeMillis, (at) => {
            sent.push(request.batch.bytes.length)
            freeAt = Math.max(freeAt, at) + request.batch.bytes.length / bytesPerMilli
            return Effect.andThen(Effect.sleep(freeAt - at), client.push(request))
          }).pipe(Effect.onInterrupt(() => Effect.sync(() => void (freeAt = 0))))
      }))
      cluster.faults.set("b>a", (client) => ({ ...client, pull: () => Effect.succeed({ batch: null }) }))
      const b = yield* cluster.start("b")
      yield* TestClock.adjust(60_000)
      assert.isAbove(sent[0]!, 2000 * bytesPerMilli)
      assert.strictEqual(b.logs.head(a.logs.own).seq, 20)
    })
  )

  const rejectsOnce = Effect.fnUntraced(function* (pulls: boolean) {
    const cluster = yield* Cluster.make(["a", "b"], 2)
    const pushes: Array<number> = []
    const detail = "a bit flipped on the way"
    cluster.faults.set("a>b", (client) => ({
      ...client,
      push: (request) =>
        pushes.push(request.batch.from) === 1
          ? Effect.fail(new PeerProtocol.PushRejected({ detail }))
          : client.push(request)
    }))
    if (!pulls) cluster.faults.set("b>a", (client) => ({ ...client, pull: () => Effect.succeed({ batch: null }) }))
    const [a, b] = [yield* cluster.start("a"), yield* cluster.start("b")]
    yield* TestClock.adjust(1000)
    const { verdicts } = yield* failure(a.writer.commit(put("k")), "QuorumNotMet")
    assert.deepStrictEqual(verdicts[idB], { _tag: "rejected", detail })
    return { a, b, pushes }
  })

  it.effect("L22 a peer that rejected an entry is asked again after a minute, and not before", () =>
    Effect.gen(function* () {
      const { a, b, pushes } = yield* rejectsOnce(false)
      yield* TestClock.adjust(59_000)
      assert.deepStrictEqual(pushes, [1])
      yield* TestClock.adjust(3000)
      assert.deepStrictEqual(pushes, [1, 1])
      assert.strictEqual(b.logs.head(a.logs.own).seq, 1)
      assert.deepStrictEqual(
        (yield* during(a.writer.commit(put("later")), 10)).acked.map(({ replica }) => replica),
        [idA, idB]
      )
    })
  )

  // The rejection is only forgotten with the connection, though the peer has the entry and says so.
  it.effect("a peer that has fetched the entry it rejected is a peer like any other", () =>
    Effect.gen(function* () {
      const { a, b } = yield* rejectsOnce(true)
      yield* TestClock.adjust(5000)
      assert.strictEqual(b.logs.head(a.logs.own).seq, 1)
      yield* during(a.writer.commit(put("later")), 2000)
    })
  )
})

describe("sessions", () => {
  it.effect("L39 a session is of no use to a connection that proves another identity", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("abc", 2, "a")
      const client = yield* cluster.network.connect(idA)
      const incarnation = "00000000000000bb" as LogId.Incarnation
      const { session } = yield* client.hello({
        version: PeerProtocol.versions[0],
        cluster: "test",
        replica: idB,
        ...says(incarnation),
        vector: [],
        sentAt: 0
      })
      const log = LogId.make(idB, incarnation)
      const { batch } = EntryBatch.encode(Watermark.none(log), [put("k")], HybridLogicalClock.zero, 1)
      const push = client.push({ session, batch })
      const pull = client.pull({ session, log, after: 0, maxBytes: 1000 })
      const as = Effect.provideService(PeerProtocol.ProvenIdentity, Option.some(idC))
      yield* failure(as(push), "SessionUnknown")
      yield* failure(as(pull), "SessionUnknown")
      assert.strictEqual(a.logs.head(log).seq, 0)
      yield* Effect.provideService(push, PeerProtocol.ProvenIdentity, Option.some(idB))
      assert.strictEqual((yield* pull).batch?.count, 1)
    })
  )
})
