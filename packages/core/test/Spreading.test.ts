/** How writes reach replicas that were away, whatever they are and whenever they were made. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type ReplicaEvents } from "../src/index.ts"
import { EntryBatch, type PeerProtocol, type RunId, Watermark } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure, pass } from "./support/time.ts"

const put = (key: string, value = "v") => Entry.put("ns", key, value)
const textOf = (record: Option.Option<{ readonly value: Uint8Array }>) =>
  Option.getOrUndefined(Option.map(record, ({ value }) => new TextDecoder().decode(value)))
const dayMillis = 86_400_000

/** Replica `a`, which has written while `b` was down, and what it pushes to `b` afterwards. */
const away = Effect.fnUntraced(function* (write: (a: Cluster.Running) => Effect.Effect<unknown, unknown>) {
  const cluster = yield* Cluster.make(["a", "b"], 1)
  const pushes: Array<PeerProtocol.Push> = []
  cluster.faults.set("a>b", (client) => ({
    ...client,
    push: (request) => {
      pushes.push(request)
      return client.push(request)
    }
  }))
  const a = yield* cluster.start("a")
  // A new replica asks its peer before it writes.
  const first = yield* cluster.start("b")
  yield* during(a.writer.commit(put("first")), 3000)
  yield* during(first.stop, 4000)
  pushes.length = 0
  yield* write(a)
  // It gets what it is sent, and fetches nothing itself.
  cluster.cut("b", "a")
  const b = yield* cluster.start("b")
  yield* pass(30_000)
  return { a, b, cluster, pushes }
})

describe("a replica that was away", () => {
  it.effect("L18 gets puts, deletes and several writes in one by the same call, in the order of their log", () =>
    Effect.gen(function* () {
      const { a, b, pushes } = yield* away(({ writer }) =>
        Effect.gen(function* () {
          yield* during(writer.commit(put("k")), 100)
          yield* during(writer.commit(Entry.remove("ns", "k")), 100)
          yield* during(writer.commit([put("x"), Entry.remove("ns", "y")]), 100)
        })
      )
      assert.isNotEmpty(pushes)
      assert.strictEqual(
        pushes.reduce((sum, { batch }) => sum + batch.count, 0),
        3
      )
      assert.deepStrictEqual(b.logs.head(a.logs.own), a.logs.head(a.logs.own))
    })
  )

  it.effect("L24 gets what is in the log, each entry once, however long it was away and however much there is", () =>
    Effect.gen(function* () {
      const { a, b, pushes } = yield* away(({ writer }) =>
        Effect.gen(function* () {
          // No foreground write fails or waits because of what it misses.
          for (let i = 0; i < 100; i++) {
            yield* Effect.all(
              Array.from({ length: 10 }, (_, n) => during(writer.commit(put(`key ${n}`, `${i}`)), 20)),
              { concurrency: "unbounded" }
            )
          }
          yield* TestClock.adjust(600_000)
        })
      )
      assert.strictEqual(a.logs.head(a.logs.own).seq, 1001)
      assert.strictEqual(
        pushes.reduce((sum, { batch }) => sum + batch.count, 0),
        1000
      )
      assert.deepStrictEqual(b.logs.head(a.logs.own), a.logs.head(a.logs.own))
      for (let n = 0; n < 10; n++) assert.strictEqual(textOf(yield* b.records.read("ns", `key ${n}`)), "99")
    })
  )

  it.effect("L29 gets deletes too, and one that is brought to it late hides what it still has", () =>
    Effect.gen(function* () {
      const { a, b } = yield* away(({ writer }) => during(writer.commit(Entry.remove("ns", "first")), 100))
      assert.isTrue(Option.isNone(yield* b.records.read("ns", "first")))
      assert.isTrue(Option.isNone(yield* a.records.read("ns", "first")))
    })
  )

  it.effect("L37 a delete is there for whoever comes back after years, because no timer takes it away", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const [a, b, c] = [yield* cluster.start("a"), yield* cluster.start("b"), yield* cluster.start("c")]
      yield* during(a.writer.commit(put("k"), { w: "all" }), 3000)
      yield* during(c.stop, 4000)
      yield* during(a.writer.commit(Entry.remove("ns", "k")), 1000)
      yield* during(Effect.all([a.stop, b.stop], { concurrency: "unbounded" }), 8000)
      yield* TestClock.adjust(3 * 365 * dayMillis)
      const again = yield* Effect.forEach(["a", "b", "c"], (name) => cluster.start(name))
      yield* pass(60_000)
      for (const { logs, records } of again) {
        assert.isTrue(Option.isNone(yield* records.read("ns", "k")))
        assert.strictEqual(logs.head(a.logs.own).seq, 2)
      }
    })
  )
})

describe("an entry", () => {
  it.effect("L26 reaches every replica whatever its clock says: what is missing is counted by place, not by time", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const store = yield* cluster.storeOf("a")
      const log = `a@${store.identity.incarnation}` as EntryBatch.EntryBatch["log"]
      const times = [5, 5, 2 ** 47, 1, 5, 0]
      const { batch } = EntryBatch.encodeStamped(
        Watermark.none(log),
        times.map((_, i) => put(`key ${i}`)),
        (i) => ({
          clock: { wallTime: times[i]!, logical: i % 2 },
          tie: "00000000000000aa" as RunId.RunId,
          unprobed: false
        })
      )
      yield* store.append(batch)
      const a = yield* cluster.start("a")
      const b = yield* cluster.start("b")
      yield* pass(10_000)
      yield* during(a.writer.commit(put("next")), 1000)
      yield* pass(10_000)
      assert.deepStrictEqual(b.logs.head(log), a.logs.head(log))
      for (const i of times.keys()) assert.strictEqual(textOf(yield* b.records.read("ns", `key ${i}`)), "v")
      assert.strictEqual(textOf(yield* b.records.read("ns", "next")), "v")
    })
  )
})

describe("a replica set", () => {
  it.effect(
    "L15 knows its members by their ids, in whatever order each of them lists them, before a restart and after",
    () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b", "c"], 2)
        const a = yield* cluster.start("a", { members: ["a", "b", "c"] })
        const b = yield* cluster.start("b", { members: ["c", "b", "a"] })
        yield* during(a.writer.commit(put("k")), 3000)
        const lags = ({ status }: Cluster.Running) =>
          new Map(status().peers.map(({ lag, link, replica }) => [replica as string, [link, lag] as const]))
        yield* pass(5000)
        assert.deepStrictEqual(
          lags(a),
          new Map([
            ["b", ["up", 0]],
            ["c", ["down", 1]]
          ])
        )
        assert.strictEqual(lags(b).get("a")?.[0], "up")
        yield* during(a.stop, 4000)
        const again = yield* cluster.start("a", { members: ["c", "b", "a"] })
        yield* pass(5000)
        assert.strictEqual(lags(again).get("b")?.[0], "up")
        assert.strictEqual(lags(again).get("c")?.[0], "down")
        const receipt = yield* during(again.writer.commit(put("k", "later")), 3000)
        assert.deepStrictEqual(
          receipt.acked.map(({ replica }) => replica as string),
          ["a", "b"]
        )
        assert.deepStrictEqual(Object.keys(receipt.missing), ["c"])
      })
  )

  it.effect(
    "L18 has a put, a delete and several writes in one held by the same quorum before it acknowledges them",
    () =>
      Effect.gen(function* () {
        const { a, b } = yield* Cluster.running("ab", 2)
        for (const write of [put("k"), Entry.remove("ns", "k"), [put("x"), Entry.remove("ns", "y")]] as const) {
          const { acked, policy } = yield* during(a.writer.commit(write), 100)
          assert.deepStrictEqual([acked.map(({ replica }) => replica), policy.w], [[a.id, b.id], 2])
        }
      })
  )

  it.effect("L62 a peer that acks again counts once, and one that acked before somebody waited counts", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("abc", 2, "ab")
      const write = yield* during(failure(a.writer.commit(put("k"), { w: "all" }), "QuorumNotMet"), 4000)
      // It has acked by then: the push, and what it holds at every heartbeat.
      yield* pass(10_000)
      assert.deepStrictEqual([write.got, write.needed], [2, 3])
      const again = yield* during(failure(a.writer.resume(write.writeId, { w: "all" }), "QuorumNotMet"), 4000)
      assert.deepStrictEqual([again.got, again.needed], [2, 3])
      const receipt = yield* during(a.writer.resume(write.writeId, { w: 2 }), 1)
      assert.deepStrictEqual(
        receipt.acked.map(({ replica }) => replica as string),
        ["a", "b"]
      )
    })
  )

  it.effect("L31 says on every replica how far each holds which log, and tells when two copies differ", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* Cluster.running("ab", 1)
      yield* during(a.writer.commit(put("k")), 1000)
      yield* pass(2000)
      assert.deepStrictEqual(a.status().vector, b.status().vector)
      const { chain, log, seq } = a.status().vector[0]!
      assert.deepStrictEqual({ chain, log, seq }, { ...a.logs.head(a.logs.own) })
      // What `b` answers for the next entry is not what `a` has.
      cluster.faults.set("a>b", (client) => ({
        ...client,
        push: (request) => Effect.map(client.push(request), (ack) => ({ ...ack, chain }))
      }))
      yield* during(b.stop, 4000)
      yield* cluster.start("b")
      yield* pass(5000)
      const told: Array<ReplicaEvents.ReplicaEvent> = []
      a.events.listen((event) => told.push(event))
      yield* during(a.writer.commit(put("k", "other")), 1000)
      assert.deepInclude(told, { _tag: "Drifted", peer: b.id, log: a.logs.own })
    })
  )
})
