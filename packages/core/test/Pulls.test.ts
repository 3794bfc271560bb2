/** What is pulled from a peer, what is not, and what a drift is. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger, Result } from "effect"
import { TestClock } from "effect/testing"
import { Chain, EntryBatch, PeerFrame, PeerMethods, PeerProtocol, Watermark } from "../src/adapter.ts"
import * as Erased from "../src/log/Erased.ts"
import { Entry, HybridLogicalClock, LogId } from "../src/index.ts"
import * as CatchUp from "../src/peer/internal/CatchUp.ts"
import * as OwnStore from "../src/peer/internal/OwnStore.ts"
import * as Cluster from "./support/cluster.ts"
import { says } from "./support/greeting.ts"
import { during } from "./support/time.ts"

const [idB, idC] = [Cluster.id("b"), Cluster.id("c")]
const put = (key: string, value: string | Uint8Array = "v") => Entry.put("notes", key, value)
const chain = "00000000000000ff" as Chain.Chain
const logC = LogId.make(idC, "00000000000000cc" as LogId.Incarnation)
const batchC = EntryBatch.encode(Watermark.none(logC), [put("k")], HybridLogicalClock.zero, 1).batch

const welcomeOf = (...vector: ReadonlyArray<Watermark.Watermark>): PeerProtocol.Welcome => ({
  cluster: "test",
  replica: idB,
  ...says("00000000000000bb"),
  vector,
  session: "s",
  receivedAt: 0,
  sentAt: 0
})

/** Catch-up of `a`, and a peer `b` that answers pulls as it is told. */
const setUp = Effect.fnUntraced(function* (
  answer: PeerMethods.PeerClient["pull"] = () => Effect.succeed({ batch: null })
) {
  const { a, cluster } = yield* Cluster.running("abc", 1, "a")
  const pulls: Array<LogId.LogId> = []
  const client: PeerMethods.PeerClient = {
    ...(yield* cluster.network.connect(a.id)),
    pull: (request) => {
      pulls.push(request.log)
      return answer(request)
    }
  }
  const said: Array<string> = []
  const logger = Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])
  const source = { peer: idB, client, batchBytes: () => 1000 }
  const catchUp = yield* CatchUp.make(a.logs, a.peers, OwnStore.make(1000))
  const isDrifted = (log: LogId.LogId) => a.peers.get(idB).drifted.has(log)
  return { a, catchUp, isDrifted, logger, pulls, said, source }
})

/** A batch of erased entries only, and none of more than one range counts. */
const erasedAfter = (seq: number, count: number): EntryBatch.EntryBatch => {
  const bytes = new Uint8Array(Erased.size)
  const empty = Chain.state(Chain.empty)
  Erased.encodeInto(bytes, 0, { count, before: empty, after: empty, hasDeletes: false })
  return { log: logC, from: seq + 1, count, prevChain: Chain.empty, chain: Chain.empty, bytes }
}

describe("what is pulled", () => {
  it.effect("L25 is no more at once than a frame can count, where more is erased than that", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      cluster.faults.set("a>b", (client) => ({
        ...client,
        pull: (request) =>
          Effect.map(client.pull(request), (pulled) => {
            const frame = PeerFrame.encodeAnswer(1, { _tag: "pull", result: Result.succeed(pulled) })
            const { message } = Result.getOrThrow(PeerFrame.decodeAnswer(frame))
            return Result.getOrThrow(message.result as Result.Result<PeerProtocol.Pulled>)
          })
      }))
      const [a, b] = yield* Effect.forEach(["a", "b"], (id) => cluster.start(id))
      for (const range of [0, 1, 2]) yield* b!.logs.append(erasedAfter(range * Erased.maxCount, Erased.maxCount))
      yield* TestClock.adjust(3000)
      assert.strictEqual(a!.logs.head(logC).seq, 3 * Erased.maxCount)
    })
  )

  it.effect("is what the peer holds beyond the end here, from the first entry beyond it on", () =>
    Effect.gen(function* () {
      const { a, catchUp, pulls, source } = yield* setUp(() => Effect.succeed({ batch: batchC }))
      yield* catchUp.fetchMissing(source, welcomeOf({ log: logC, seq: 1, chain }), undefined, false)
      assert.deepStrictEqual([pulls, a.logs.head(logC).seq], [[logC], 1])
      yield* catchUp.fetchMissing(source, welcomeOf({ log: logC, seq: 1, chain }), undefined, false)
      assert.deepStrictEqual(pulls, [logC])
      yield* catchUp.fetchMissing(source, welcomeOf({ log: logC, seq: 2, chain }), undefined, false)
      assert.isAbove(pulls.length, 1)
    })
  )

  it.effect("is nothing of a log in which the peer differs", () =>
    Effect.gen(function* () {
      const { a, catchUp, pulls, source } = yield* setUp()
      a.peers.report({ _tag: "Drift", peer: idB, log: logC, monotonicMillis: 0 })
      yield* catchUp.fetchMissing(source, welcomeOf({ log: logC, seq: 1, chain }), undefined, false)
      assert.deepStrictEqual(pulls, [])
    })
  )

  it.effect("is nothing of the own log once entries were appended: a peer that holds more of it differs", () =>
    Effect.gen(function* () {
      const { a, catchUp, isDrifted, pulls, source } = yield* setUp()
      yield* during(a.writer.commit(put("k")), 2000)
      const { own } = a.logs
      yield* catchUp.fetchMissing(source, welcomeOf({ ...a.logs.head(own) }), undefined, false)
      assert.isFalse(isDrifted(own))
      yield* catchUp.fetchMissing(source, welcomeOf({ log: own, seq: 2, chain }), undefined, false)
      assert.deepStrictEqual([isDrifted(own), pulls], [true, []])
    })
  )

  it.effect("is asked of one peer at a time, and of the next when that one is done", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { catchUp, pulls, source } = yield* setUp(() => Effect.as(Deferred.await(gate), { batch: null }))
      const fetch = catchUp.fetchMissing(source, welcomeOf({ log: logC, seq: 1, chain }), undefined, false)
      const first = yield* Effect.forkChild(fetch)
      yield* TestClock.adjust(0)
      yield* fetch
      assert.strictEqual(pulls.length, 1)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(first)
      yield* fetch
      assert.strictEqual(pulls.length, 2)
    })
  )

  it.effect("Bounded: is at most a batch, whatever was asked for, and what was asked for when that is less", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("ab", 1, "a")
      for (let i = 0; i < 3; i++) yield* during(a.writer.commit(put(`k${i}`, new Uint8Array(400_000))), 2000)
      const client = yield* cluster.network.connect(a.id)
      const { session } = yield* client.hello({
        version: PeerProtocol.versions[0],
        cluster: "test",
        replica: idB,
        ...says("00000000000000bb"),
        vector: [],
        sentAt: 0
      })
      for (const [maxBytes, count] of [
        [2 ** 40, 2],
        [500_000, 1]
      ] as const) {
        const { batch } = yield* client.pull({ session, log: a.logs.own, after: 0, maxBytes })
        assert.strictEqual(batch?.count, count)
      }
    })
  )
})

describe("what a peer said on a connection", () => {
  it.effect("is not compared on the next", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 1)
      let hellos = 0
      cluster.faults.set("a>b", (client) => ({
        ...client,
        pull: () => Effect.succeed({ batch: null }),
        // It had another first entry of the log of c, and on its next connection it is only ahead.
        hello: (request) =>
          Effect.map(client.hello(request), (welcome) => ({
            ...welcome,
            session: ++hellos === 3 ? "another" : welcome.session,
            vector: [{ log: logC, seq: hellos <= 2 ? 1 : 9, chain }]
          }))
      }))
      yield* cluster.start("b")
      const a = yield* cluster.start("a")
      yield* TestClock.adjust(3500)
      assert.isAbove(hellos, 3)
      const client = yield* cluster.network.connect(a.id)
      const hello = { version: PeerProtocol.versions[0], cluster: "test", replica: idC, vector: [], sentAt: 0 }
      const { session } = yield* client.hello({ ...hello, ...says("00000000000000cc") })
      yield* client.push({ session, batch: batchC })
      yield* TestClock.adjust(2000)
      assert.strictEqual(a.logs.head(logC).seq, 1)
      assert.isFalse(a.peers.get(idB).drifted.has(logC))
    })
  )
})

describe("catch-up", () => {
  it.effect("L30 all logs that a peer has more of are pulled in one go, not a log per heartbeat", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c", "d"], 2)
      const calls: Array<string> = []
      cluster.faults.set("d>c", (client) =>
        PeerMethods.wrap(client, (call, name) =>
          Effect.suspend(() => {
            calls.push(name)
            return call
          })
        )
      )
      const [a, b, , d] = yield* Effect.forEach(["a", "b", "c", "d"], (id) => cluster.start(id))
      yield* TestClock.adjust(1000)
      for (const other of ["a", "b", "c"]) {
        cluster.cut(other, "d")
        cluster.cut("d", other)
      }
      for (const { writer } of [a!, b!]) yield* during(writer.commit(put("k")), 10)
      yield* TestClock.adjust(1000)
      for (const { stop } of [a!, b!]) yield* during(stop, 5000)
      calls.length = 0
      cluster.heal()
      yield* TestClock.adjust(5000)
      for (const { logs } of [a!, b!]) assert.strictEqual(d!.logs.head(logs.own).seq, 1)
      const first = calls.indexOf("pull")
      assert.deepStrictEqual(calls.slice(first, first + 2), ["pull", "pull"])
    })
  )
})
