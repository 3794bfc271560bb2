import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, HybridLogicalClock, LogId, WriteId } from "../src/index.ts"
import { EntryBatch, PeerProtocol, type RunId, Watermark } from "../src/adapter.ts"
import * as Sessions from "../src/peer/internal/Sessions.ts"
import * as Cluster from "./support/cluster.ts"
import { says } from "./support/greeting.ts"
import { failure } from "./support/time.ts"

const idB = Cluster.id("b")
const before = "00000000000000bb" as LogId.Incarnation
const after = "00000000000000cc" as LogId.Incarnation

const hello = (incarnation: LogId.Incarnation): PeerProtocol.Hello => ({
  version: PeerProtocol.versions[0],
  cluster: "test",
  replica: idB,
  ...says(incarnation),
  vector: [],
  sentAt: 0
})

const first = (log: LogId.LogId) =>
  EntryBatch.encode(Watermark.none(log), [Entry.put("n", "k", "v")], HybridLogicalClock.zero, 1).batch

/** `b` has a session, falls silent for long enough, and comes back with another incarnation. */
const cameBack = Effect.gen(function* () {
  const cluster = yield* Cluster.make(["a", "b", "c"], 1)
  const a = yield* cluster.start("a")
  const client = yield* cluster.network.connect(a.id)
  const old = yield* client.hello(hello(before))
  yield* TestClock.adjust(3001)
  return { a, client, old: old.session, again: (yield* client.hello(hello(after))).session }
})

describe("sessions", () => {
  it.effect("L39 there is none before the handshake, and without one nothing is answered", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const a = yield* cluster.start("a")
      const client = yield* cluster.network.connect(a.id)
      const session = "?"
      const calls: Readonly<Record<string, Effect.Effect<unknown, { readonly _tag: string }>>> = {
        push: client.push({ session, batch: first(LogId.make(idB, before)) }),
        pull: client.pull({ session, log: a.logs.own, after: 0, maxBytes: 10 }),
        read: client.read({ session, namespace: "n", key: "k", have: null, confirm: null }),
        probe: client.probe({ session, keys: [] }),
        verify: client.verify({ session, writeId: WriteId.make(a.logs.own, 1, 0) })
      }
      for (const [what, call] of Object.entries(calls)) {
        assert.strictEqual((yield* Effect.flip(call))._tag, "SessionUnknown", what)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("L39 L67 a session is of no use to a connection that proves another member, and of use to its own", () =>
    Effect.gen(function* () {
      const { again, client } = yield* cameBack
      const as = (name: string) =>
        Effect.provideService(
          PeerProtocol.ProvenIdentity,
          Option.some(Cluster.id(name))
        )(client.push({ session: again, batch: first(LogId.make(idB, after)) }))
      yield* failure(as("c"), "SessionUnknown")
      assert.strictEqual((yield* as("b")).seq, 1)
    })
  )

  it.effect(
    "a member that comes back with another incarnation gets another session, which is that of its new log",
    () =>
      Effect.gen(function* () {
        const { a, again, client, old } = yield* cameBack
        assert.notStrictEqual(again, old)
        const log = LogId.make(idB, after)
        yield* client.push({ session: again, batch: first(log) })
        assert.strictEqual(a.logs.head(log).seq, 1)
        // The log of the incarnation before is no longer its own.
        const { detail } = yield* failure(
          client.push({ session: again, batch: first(LogId.make(idB, before)) }),
          "PushRejected"
        )
        assert.include(detail, "its own log only")
      }).pipe(Effect.scoped)
  )

  it.effect("the session of an incarnation that was replaced is no longer known", () =>
    Effect.gen(function* () {
      const { a, client, old } = yield* cameBack
      const log = LogId.make(idB, before)
      yield* failure(client.push({ session: old, batch: first(log) }), "SessionUnknown")
      yield* failure(client.pull({ session: old, log, after: 0, maxBytes: 1 }), "SessionUnknown")
      assert.strictEqual(a.logs.head(log).seq, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("an incarnation that was replaced is refused as long as the new one is alive", () =>
    Effect.gen(function* () {
      const { client } = yield* cameBack
      const { reason } = yield* failure(client.hello(hello(before)), "HandshakeRefused")
      assert.strictEqual(reason, "stale_incarnation")
    }).pipe(Effect.scoped)
  )

  it.effect("a member keeps its id for three heartbeats of silence, and not a millisecond longer", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const client = yield* cluster.network.connect((yield* cluster.start("a")).id)
      yield* client.hello(hello(before))
      yield* TestClock.adjust(3000)
      yield* failure(client.hello(hello(after)), "HandshakeRefused")
      yield* TestClock.adjust(1)
      yield* client.hello(hello(after))
    }).pipe(Effect.scoped)
  )

  for (const what of ["handshake", "push", "pull"] as const) {
    it.effect(`a ${what} is a sign of life`, () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b"], 1)
        const client = yield* cluster.network.connect((yield* cluster.start("a")).id)
        const { session } = yield* client.hello(hello(before))
        yield* TestClock.adjust(2000)
        const log = LogId.make(idB, before)
        if (what === "handshake") assert.strictEqual((yield* client.hello(hello(before))).session, session)
        if (what === "push") yield* client.push({ session, batch: first(log) })
        if (what === "pull") yield* client.pull({ session, log, after: 0, maxBytes: 1 })
        yield* TestClock.adjust(3000)
        yield* failure(client.hello(hello(after)), "HandshakeRefused")
      }).pipe(Effect.scoped)
    )
  }

  it("L39 L67 a session is of use to the connection on which it was opened, and to no other, whatever that proves", () => {
    const sessions = Sessions.make(3000)
    const { incarnation, run, startedAt, starts } = hello(before)
    const [own, other] = [{}, {}]
    const { id } = sessions.open(idB, { incarnation, run, startedAt, starts }, { connection: own }, 0, () => "id")
    for (const proven of [undefined, idB]) {
      assert.isUndefined(sessions.enter(id, { connection: other }, proven, 1))
      assert.isUndefined(sessions.enter(id, { connection: undefined }, proven, 1))
      assert.isDefined(sessions.enter(id, { connection: own }, proven, 1))
    }
    assert.isUndefined(sessions.enter(id, { connection: own }, Cluster.id("c"), 1))
    assert.isUndefined(sessions.enter("other", { connection: own }, idB, 1))
  })

  it("a process is told of another one that goes by its id as long as sessions last, and not a millisecond longer", () => {
    const sessions = Sessions.make(3000)
    const lifeOf = (incarnation: LogId.Incarnation, run: string) => {
      const { startedAt, starts } = hello(incarnation)
      return { incarnation, run: run.padStart(16, "0") as RunId.RunId, startedAt, starts }
    }
    const [first, other] = [lifeOf(before, "1"), lifeOf(after, "2")]
    sessions.open(idB, first, { connection: {} }, 0, () => "id")
    assert.isUndefined(sessions.rivalOf(idB, first, 0))
    assert.isTrue(sessions.isTaken(idB, other, 3000))
    assert.strictEqual(sessions.rivalOf(idB, first, 6000), other.run)
    assert.isUndefined(sessions.rivalOf(idB, other, 6000))
    assert.isUndefined(sessions.rivalOf(idB, first, 6001))
    assert.isFalse(sessions.isTaken(idB, other, 3001))
  })

  it("L39 whoever says hello over and over in the name of a member does not end the session that it uses", () => {
    const sessions = Sessions.make(3000)
    const { incarnation, run, startedAt, starts } = hello(before)
    const life = { incarnation, run, startedAt, starts }
    let ids = 0
    const open = (connection: object, now: number) => sessions.open(idB, life, { connection }, now, () => `${++ids}`)
    const own = {}
    const { id } = open(own, 0)
    const others = Array.from({ length: 3 * Sessions.maxSessions }, () => ({}))
    const opened = others.map((other, i) => {
      assert.isDefined(sessions.enter(id, { connection: own }, idB, i))
      return open(other, i)
    })
    assert.isDefined(sessions.enter(id, { connection: own }, idB, 100))
    const known = opened.filter((session) => sessions.enter(session.id, session.caller, idB, 100) !== undefined)
    assert.strictEqual(known.length, Sessions.maxSessions - 1)
  })

  it.effect("a handshake that is refused leaves the session as it was", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 1)
      const client = yield* cluster.network.connect((yield* cluster.start("a")).id)
      const { session } = yield* client.hello(hello(before))
      yield* failure(client.hello(hello(after)), "HandshakeRefused")
      const proven = Effect.provideService(PeerProtocol.ProvenIdentity, Option.some(Cluster.id("c")))
      yield* failure(proven(client.hello(hello(before))), "HandshakeRefused")
      assert.strictEqual((yield* client.hello(hello(before))).session, session)
      yield* client.push({ session, batch: first(LogId.make(idB, before)) })
    }).pipe(Effect.scoped)
  )
})
