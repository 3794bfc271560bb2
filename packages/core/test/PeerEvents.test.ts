/** What is told of peers, and what a connection remembers of the one before. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type ReplicaEvents } from "../src/index.ts"
import { type Chain, PeerProtocol, ReplicaStore } from "../src/adapter.ts"
import * as CatchUp from "../src/peer/internal/CatchUp.ts"
import * as OwnStore from "../src/peer/internal/OwnStore.ts"
import * as Cluster from "./support/cluster.ts"
import { says } from "./support/greeting.ts"
import { during, failure } from "./support/time.ts"
import * as Wall from "./support/wall.ts"

const put = (key: string) => Entry.put("notes", key, "v")
const [idA, idB] = [Cluster.id("a"), Cluster.id("b")]

type Told = ReplicaEvents.ReplicaEvent
const only = <T extends Told["_tag"]>(told: ReadonlyArray<Told>, tag: T) =>
  told.filter((event): event is Extract<Told, { readonly _tag: T }> => event._tag === tag)

const listening = (replica: Cluster.Running): Array<Told> => {
  const told: Array<Told> = []
  replica.events.listen((event) => told.push(event))
  return told
}

const hello = (replica: string): PeerProtocol.Hello => ({
  version: PeerProtocol.versions[0],
  cluster: "test",
  replica: Cluster.id(replica),
  ...says("00000000000000bb"),
  vector: [],
  sentAt: 0
})

describe("events of peers", () => {
  it.effect("tells a handshake that was refused here, with who it claims to be when that is a member", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const a = yield* cluster.start("a")
      const told = listening(a)
      const client = yield* cluster.network.connect(idA)
      yield* failure(client.hello(hello("z")), "HandshakeRefused")
      yield* failure(client.hello({ ...hello("b"), version: 99 }), "HandshakeRefused")
      yield* client.hello(hello("b"))
      const incoming = only(told, "HandshakeRefused").filter(({ direction }) => direction === "incoming")
      assert.deepStrictEqual(
        incoming.map(({ peer, reason }) => [peer, reason]),
        [
          [undefined, "stranger"],
          [idB, "version"]
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("tells a handshake that a peer refused", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      yield* cluster.start("b")
      cluster.faults.set("a>b", (client) => ({
        ...client,
        hello: (request) => client.hello({ ...request, cluster: "other" })
      }))
      const a = yield* cluster.start("a")
      const told = listening(a)
      yield* TestClock.adjust(1000)
      const [first] = only(told, "HandshakeRefused").filter(({ direction }) => direction === "outgoing")
      assert.deepInclude({ ...first }, { peer: idB, reason: "wrong_cluster" })
    })
  )

  it.effect("tells the difference of the clocks and the round trip of a handshake", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      cluster.faults.set("a>b", (client) => ({
        ...client,
        hello: (request) =>
          Effect.map(Effect.delay(client.hello(request), 100), (welcome) => ({
            ...welcome,
            receivedAt: welcome.receivedAt + 5000,
            sentAt: welcome.sentAt + 5010
          }))
      }))
      yield* cluster.start("b")
      const a = yield* cluster.start("a")
      const told = listening(a)
      yield* TestClock.adjust(500)
      const [first] = only(told, "SkewMeasured")
      // The delay lies on the way there only, so half of it stays in the measure.
      assert.deepInclude({ ...first }, { peer: idB, skewMillis: 5055, roundTripMillis: 90 })
      assert.strictEqual(a.peers.get(idB).clockSkewMillis, 5055)
    })
  )

  it.effect(
    "BoundedClocks L51: a clock that is set while a handshake is under way is not taken for half as wrong",
    () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b"], 1)
        const wall = yield* Wall.make()
        cluster.faults.set("a>b", (client) => ({
          ...client,
          hello: (request) => Effect.tap(client.hello(request), () => Effect.sync(() => wall.set(280_000)))
        }))
        yield* cluster.start("b")
        const a = yield* Wall.by(wall)(cluster.start("a"))
        const told = listening(a)
        yield* TestClock.adjust(500)
        const [first] = only(told, "SkewMeasured")
        assert.deepInclude({ ...first }, { peer: idB, skewMillis: -280_000, roundTripMillis: 0 })
      })
  )

  it.effect("tells how many entries were pulled, and that this replica has recovered, once", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      cluster.cut("a", "c")
      const told = listening(c)
      for (const key of ["k1", "k2", "k3"]) yield* during(a.writer.commit(put(key)), 10)
      yield* TestClock.adjust(5000)
      const pulled = only(told, "CaughtUp").filter(({ log }) => log === a.logs.own)
      assert.strictEqual(
        pulled.reduce((sum, { entries }) => sum + entries, 0),
        3
      )
      assert.isTrue(pulled.every(({ bytes, durationMillis }) => bytes > 0 && durationMillis >= 0))
      yield* during(b.stop, 5000)
      const fresh = listening(yield* cluster.start("b"))
      yield* TestClock.adjust(5000)
      assert.strictEqual(only(fresh, "Recovered").length, 1)
    })
  )
})

describe("one connection after another", () => {
  const chain = "00000000000000ff" as Chain.Chain
  const { incarnation } = hello("b")

  it.effect("what a peer said on a connection is compared when it is held here, and not on the next connection", () =>
    Effect.gen(function* () {
      for (const forgotten of [false, true]) {
        const { a } = yield* Cluster.running("ab", 1, "a")
        const store = OwnStore.make(1000)
        const catchUp = yield* CatchUp.make(a.logs, a.peers, store)
        const log = a.logs.own
        yield* catchUp.compare(idB, { incarnation, vector: [{ log, seq: 1, chain }] })
        yield* during(a.writer.commit(put("k")), 2000)
        if (forgotten) catchUp.forget(idB)
        yield* catchUp.compare(idB, { incarnation, vector: [{ log, seq: 5, chain }] })
        assert.strictEqual(a.peers.get(idB).drifted.has(log), !forgotten)
      }
    })
  )

  it.effect("a peer whose session has changed is connected to anew", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      let connections = 0
      let hellos = 0
      cluster.faults.set("a>b", (client) => {
        connections++
        return {
          ...client,
          hello: (request) =>
            Effect.map(client.hello(request), (welcome) => ({
              ...welcome,
              session: ++hellos === 3 ? "another" : welcome.session
            }))
        }
      })
      yield* cluster.start("b")
      yield* cluster.start("a")
      yield* TestClock.adjust(1999)
      assert.strictEqual(connections, 1)
      yield* TestClock.adjust(1000)
      assert.strictEqual(connections, 2)
    })
  )

  it.effect("a peer whose store failed is up again once it holds all of the log, to the last entry", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("ab", 1, "a")
      yield* during(a.writer.commit(put("k")), 3000)
      cluster.faults.set("a>b", (client) => ({
        ...client,
        push: () => Effect.fail(new ReplicaStore.StoreError({ reason: "disk_full", detail: "no room" }))
      }))
      const b = yield* cluster.start("b")
      yield* TestClock.adjust(10_000)
      // It has pulled what could not be pushed.
      assert.strictEqual(b.logs.head(a.logs.own).seq, 1)
      assert.strictEqual(a.peers.get(idB).link._tag, "Up")
    })
  )

  it.effect("a peer that answers and cannot store is not said to be connected again and again", () =>
    Effect.gen(function* () {
      const said: Array<string> = []
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const a = yield* cluster.start("a", {
        logger: Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])
      })
      yield* TestClock.adjust(2000)
      yield* during(a.writer.commit(put("k")), 3000)
      const about = () => said.filter((line) => / b(?:$|:)/.test(line)).map((line) => line.split(":")[0])
      assert.deepStrictEqual(about(), ["cannot reach b"])
      cluster.faults.set("b>a", (client) => ({ ...client, pull: () => Effect.succeed({ batch: null }) }))
      cluster.faults.set("a>b", (client) => ({
        ...client,
        push: () => Effect.fail(new ReplicaStore.StoreError({ reason: "disk_full", detail: "no room" }))
      }))
      yield* cluster.start("b")
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(about(), ["cannot reach b", "connected to b", "lost b"])
      cluster.faults.clear()
      yield* TestClock.adjust(10_000)
      assert.strictEqual(a.peers.get(idB).link._tag, "Up")
    })
  )
})
