/** What callers learn of their writes: while they wait, when a replica closes, later, and when clocks are set. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { type WriteId, Entry, QuorumWriter, Replica, ReplicaSet } from "../src/index.ts"
import { MemoryNetwork, PeerProtocol, RecordIndex, ReplicaStore } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { says } from "./support/greeting.ts"
import { during, failure } from "./support/time.ts"

const put = (key: string, value: Uint8Array | string = "v") => Entry.put("notes", key, value)
const [idA, idB, idC] = [Cluster.id("a"), Cluster.id("b"), Cluster.id("c")]

describe("callers and closing", () => {
  it.effect("closing while an append is under way waits for it, and its caller gets an answer", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      const gate = yield* Deferred.make<void>()
      yield* Cluster.withStore(
        cluster,
        "a",
        (append) => (batch) => (batch.from === 1 ? append(batch) : Effect.andThen(Deferred.await(gate), append(batch)))
      )
      const namespaces = { brief: Cluster.policy(2, 2, { ackTimeout: 100 }) }
      const [a] = [yield* cluster.start("a", { namespaces }), yield* cluster.start("b")]
      yield* TestClock.adjust(1000)
      cluster.cut("a", "b")
      const first = yield* Effect.forkChild(failure(a.writer.commit(Entry.put("brief", "first", "v")), "QuorumNotMet"))
      yield* TestClock.adjust(50)
      const second = yield* Effect.forkChild(a.writer.commit(put("second")))
      const stop = yield* Effect.forkChild(a.stop)
      // The last write that was in flight is answered; the append is what is left.
      yield* TestClock.adjust(100)
      yield* Fiber.join(first)
      cluster.heal()
      yield* TestClock.adjust(100)
      assert.isUndefined(stop.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(
        (yield* during(Fiber.join(second), 3000)).acked.map(({ replica }) => replica),
        [idA, idB]
      )
      yield* Fiber.join(stop)
    })
  )

  it.effect("closing while an append does not end answers its caller that the outcome is not known", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const gate = yield* Deferred.make<void>()
      yield* Cluster.withStore(cluster, "a", (append) => (batch) => Effect.andThen(Deferred.await(gate), append(batch)))
      const a = yield* cluster.start("a")
      const write = yield* Effect.forkChild(failure(a.writer.commit(put("k")), "WriteUncertain"))
      yield* TestClock.adjust(1)
      const stop = yield* Effect.forkChild(a.stop)
      yield* TestClock.adjust(3000)
      const error = yield* during(Fiber.join(write), 1)
      assert.notProperty(error, "writeId")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(stop)
    })
  )

  it.effect(
    "a write is resumed at once after closing, and one who resumes in a loop does not hold up the closing",
    () =>
      Effect.gen(function* () {
        const { a } = yield* Cluster.running("ab", 2, "a")
        const { writeId } = yield* during(failure(a.writer.commit(put("k")), "QuorumNotMet"), 3500)
        let [resumes, stopped] = [0, false]
        const again: Effect.Effect<unknown, unknown> = Effect.suspend(() =>
          stopped || ++resumes === 5000 ? Effect.void : a.writer.resume(writeId as WriteId.WriteId)
        ).pipe(Effect.catchTag("QuorumNotMet", () => again))
        const loop = yield* Effect.forkChild(again)
        const stop = yield* Effect.forkChild(Effect.tap(a.stop, () => Effect.sync(() => void (stopped = true))))
        yield* TestClock.adjust(2900)
        assert.deepStrictEqual([resumes, stopped], [2, false])
        yield* TestClock.adjust(200)
        yield* Fiber.join(stop)
        yield* Fiber.join(loop)
        assert.isBelow(resumes, 1000)
        const closed = yield* failure(a.writer.resume(writeId as WriteId.WriteId), "QuorumNotMet")
        assert.deepInclude({ ...closed }, { got: 1, needed: 2, reason: "in_flight" })
      })
  )

  it.effect(
    "Bounded: more writes than may wait for acks are rejected as overloaded",
    () =>
      Effect.gen(function* () {
        const { cluster } = yield* Cluster.running("ab", 2, "b")
        const a = yield* cluster.start("a", { policy: Cluster.policy(2, 2, { ackTimeout: 10_000 }) })
        yield* TestClock.adjust(1000)
        cluster.cut("a", "b")
        const write = put("k")
        const commit = a.writer.commit(write)
        const waiting = yield* Effect.replicateEffect(Effect.forkChild(commit, { startImmediately: true }), 65_536)
        yield* TestClock.adjust(1)
        assert.strictEqual(a.logs.head(a.logs.own).seq, 65_536)
        const error = yield* failure(a.writer.commit(write), "Overloaded")
        assert.include(error.detail, "65536 writes")
        cluster.heal()
        yield* TestClock.adjust(5000)
        const last = yield* Fiber.join(waiting[65_535]!)
        assert.strictEqual(last.writeId, yield* Cluster.idAt(a.logs, 65536))
        yield* during(a.writer.commit(write), 10)
      }),
    20_000
  )
})

describe("what is known of a write", () => {
  it.effect("resume and status go by the policy of the write's namespace", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      yield* cluster.start("b")
      const all = Cluster.policy(3, 3, { ackTimeout: 4000 })
      const layer = Replica.layer({ policy: Cluster.policy(3, 2), namespaces: { critical: all } }).pipe(
        Layer.provide(MemoryNetwork.layerTransport),
        Layer.provide(Layer.succeed(MemoryNetwork.MemoryNetwork, cluster.network)),
        Layer.provide(RecordIndex.layerMemory),
        Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, yield* cluster.storeOf("a"))),
        Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a", "b", "c"] })),
        Layer.provide(Logger.layer([]))
      )
      const writer = Context.get(yield* Layer.build(layer), QuorumWriter.QuorumWriter)
      yield* during(writer.commit(put("usual")), 2500)
      const error = yield* during(failure(writer.commit(Entry.put("critical", "k", "v")), "QuorumNotMet"), 7000)
      const writeId = error.writeId as WriteId.WriteId
      const resumed = yield* during(failure(writer.resume(writeId), "QuorumNotMet"), 7000)
      assert.deepStrictEqual(
        [error, resumed].map(({ got, needed }) => [got, needed]),
        [
          [2, 3],
          [2, 3]
        ]
      )
      const status = yield* writer.status(writeId)
      assert.deepInclude({ ...status }, { committed: false, holders: [idA, idB], w: 3, n: 3 })
      yield* cluster.start("c")
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual((yield* writer.resume(writeId)).acked.map(({ replica }) => replica).sort(), [
        idA,
        idB,
        idC
      ])
      assert.isTrue((yield* writer.status(writeId)).committed)
    })
  )

  it.effect("a replica that always lags a little behind a busy owner still learns who holds what", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* Cluster.running("abc", 2)
      cluster.cut("a", "b")
      cluster.faults.set("a>b", (client) => ({ ...client, push: (request) => Effect.delay(client.push(request), 100) }))
      yield* TestClock.adjust(4000)
      cluster.heal()
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(a.writer.commit(put("k")), Effect.sleep(20))))
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust(1000)
        assert.isBelow(b.logs.head(a.logs.own).seq, a.logs.head(a.logs.own).seq)
      }
      const { holders } = yield* b.writer.status(yield* Cluster.idAt(a.logs, 1))
      assert.deepStrictEqual([...holders].sort(), [idA, idB, idC])
    })
  )

  it.effect("the owner of a log holds what it pushed of it, as soon as that is held here, and no more", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* Cluster.running("abc", 2)
      cluster.cut("a", "c")
      const write = (key: string) => during(a.writer.commit(put(key)), 10)
      const { writeId } = yield* write("k")
      const { committed, holders, verdicts } = yield* b.writer.status(writeId)
      assert.deepStrictEqual([committed, holders], [true, ["b", "a"]])
      assert.strictEqual(verdicts[idA]?._tag, "acked")
      assert.deepStrictEqual(b.peers.get(idA).watermarks.get(a.logs.own), a.logs.head(a.logs.own))
    })
  )

  it.effect("a peer that is down is no holder of what it held, and is one again when it is back", () =>
    Effect.gen(function* () {
      const { a, c, cluster } = yield* Cluster.running("abc", 2)
      const { writeId } = yield* during(a.writer.commit(put("k")), 10)
      const holders = Effect.map(a.writer.status(writeId), (status) => [...status.holders].sort())
      assert.deepStrictEqual(yield* holders, [idA, idB, idC])
      yield* during(c.stop, 4000)
      assert.deepStrictEqual(yield* holders, [idA, idB])
      const error = yield* during(failure(a.writer.resume(writeId, { w: "all" }), "QuorumNotMet"), 2001)
      assert.strictEqual(error.verdicts[idC]?._tag, "refused")
      yield* cluster.start("c")
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(yield* holders, [idA, idB, idC])
    })
  )
})

describe("clocks", () => {
  /** A clock whose wall can be set, on the time of the test. */
  const settable = Effect.map(Clock.Clock, (clock) => {
    let offset = 24 * 3_600_000
    const millis = () => clock.currentTimeMillisUnsafe() + offset
    const wall: Clock.Clock = { ...clock, currentTimeMillisUnsafe: millis, currentTimeMillis: Effect.sync(millis) }
    return { wall, set: (by: number) => void (offset += by) }
  })
  const jumps = [3_600_000, -3_600_000]

  it.effect("a deadline does not follow a wall clock that is set forward or back", () =>
    Effect.gen(function* () {
      for (const jump of jumps) {
        const { set, wall } = yield* settable
        const cluster = yield* Cluster.make(["a", "b"], 2)
        const a = yield* Effect.provideService(cluster.start("a"), Clock.Clock, wall)
        yield* cluster.start("b")
        yield* TestClock.adjust(1000)
        cluster.cut("a", "b")
        const write = yield* Effect.forkChild(failure(a.writer.commit(put("k")), "QuorumNotMet"))
        yield* TestClock.adjust(500)
        set(jump)
        yield* TestClock.adjust(1500)
        assert.isUndefined(write.pollUnsafe())
        yield* TestClock.adjust(1)
        yield* Fiber.join(write)
      }
    })
  )

  // `Link.since` is compared with the wall clock.
  it.effect("how long a peer has been down does not follow a wall clock that is set forward or back", () =>
    Effect.gen(function* () {
      for (const jump of jumps) {
        const { set, wall } = yield* settable
        const { cluster } = yield* Cluster.running("ab", 2, "")
        const a = yield* Effect.provideService(cluster.start("a"), Clock.Clock, wall)
        yield* TestClock.adjust(1000)
        set(jump)
        const early = yield* Effect.forkChild(failure(a.writer.commit(put("k")), "QuorumNotMet"))
        yield* TestClock.adjust(4000)
        yield* Fiber.join(early)
        yield* failure(a.writer.commit(put("k")), "QuorumUnavailable")
      }
    })
  )

  // `lastSeen` of a session is compared with the wall clock.
  it.effect("how long a peer has been silent does not follow a wall clock that is set back", () =>
    Effect.gen(function* () {
      const { set, wall } = yield* settable
      const { cluster } = yield* Cluster.running("ab", 2, "")
      yield* Effect.provideService(cluster.start("a"), Clock.Clock, wall)
      const client = yield* cluster.network.connect(idA)
      const hello = (incarnation: string) =>
        client.hello({
          version: PeerProtocol.versions[0],
          cluster: "test",
          replica: idB,
          ...says(incarnation),
          vector: [],
          sentAt: 0
        })
      yield* hello("00000000000000bb")
      set(-3_600_000)
      yield* TestClock.adjust(3001)
      yield* hello("00000000000000cc")
    })
  )

  const skewed = Effect.fnUntraced(function* (clockSkewWarn: number, from: number, by = 40_000) {
    const cluster = yield* Cluster.make(["a", "b"], 1)
    const said: Array<string> = []
    const shift = (welcome: PeerProtocol.Welcome) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        const skew = at >= from ? by : 0
        return { ...welcome, receivedAt: welcome.receivedAt + skew, sentAt: welcome.sentAt + skew }
      })
    cluster.faults.set("a>b", (client) => ({
      ...client,
      hello: (request) => Effect.flatMap(client.hello(request), shift)
    }))
    const logger = Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])
    yield* cluster.start("b")
    const a = yield* cluster.start("a", { policy: Cluster.policy(2, 1), replica: { clockSkewWarn }, logger })
    yield* TestClock.adjust(5000)
    assert.strictEqual(a.peers.get(idB).clockSkewMillis, by)
    return said.filter((line) => line.includes(`the clock of b differs by ${by} ms`))
  })

  it.effect("L34 a clock that differs by more than the policy says is said in the log", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* skewed(39_999, 0)).length, 1)
      assert.strictEqual((yield* skewed(40_000, 0)).length, 0)
      assert.strictEqual((yield* skewed(39_999, 0, -40_000)).length, 1)
      assert.strictEqual((yield* skewed(40_000, 0, -40_000)).length, 0)
    })
  )

  // The difference is measured on every heartbeat, and looked at on a new connection only.
  it.effect("L34 a clock that comes to differ while the peer is connected is said in the log, once", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* skewed(30_000, 2000)).length, 1)
    })
  )
})
