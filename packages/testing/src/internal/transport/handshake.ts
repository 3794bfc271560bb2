/** What a connection begins with: who is asking, and who is refused. */
import { assert } from "@effect/vitest"
import { type LogId, ReplicaId } from "@quorum/core"
import { EntryBatch, PeerProtocol, type RunId } from "@quorum/core/adapter"
import { Effect, Exit, Schedule, Scope } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { Wire } from "../../Wire.ts"
import { first, head, range, source } from "../entries.ts"
import { refused } from "../refused.ts"
import { within } from "../waiting.ts"
import * as Rig from "./rig.ts"

const refusing = (
  what: string,
  reason: PeerProtocol.HandshakeRefused["reason"],
  overrides: Partial<PeerProtocol.Hello>,
  before: ReadonlyArray<PeerProtocol.Hello> = []
): Conformance.Case<Wire> =>
  Conformance.make(
    `a handshake of ${what} is refused as ${reason}`,
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const client = yield* (yield* rig.transport()).connect(Rig.b)
      for (const each of before) yield* within("an earlier handshake")(client.hello(each))
      const refusal = yield* refused(
        "the handshake",
        within("the handshake")(client.hello({ ...Rig.hello, ...overrides }))
      )
      assert(refusal._tag === "HandshakeRefused", `it is not refused but fails with ${refusal._tag}`)
      assert.strictEqual(refusal.reason, reason)
      assert.isNotEmpty(refusal.detail, "a detail says who met whom")
      // The connection is not spoilt, and the right handshake is accepted on it.
      assert.strictEqual((yield* within("the right handshake")(client.hello(Rig.hello))).replica, peer.id)
    })
  )

/** What the next run of the caller says of itself. */
const startedAgain = { run: "00000000000000a2" as RunId.RunId, starts: 2 }

export const cases: ReadonlyArray<Conformance.Case<Wire>> = [
  Conformance.make(
    "a handshake is answered with who the peer is and what it holds",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.replica(Rig.b)
      const own = first(`b@${peer.store.identity.incarnation}` as LogId.LogId, [
        { kind: "put", namespace: "ns", key: "k", value: new Uint8Array(3) }
      ])
      const copy = source("c@00000000000000cc" as LogId.LogId, 5)
      yield* peer.store.append(own)
      yield* peer.store.append(copy)
      yield* peer.start
      const { welcome } = yield* Rig.connect(yield* rig.transport())
      const { replica, cluster, incarnation, session, vector } = welcome
      assert.deepStrictEqual({ replica, cluster, incarnation }, peer.store.identity)
      assert.sameDeepMembers([...vector], [own, copy].map(EntryBatch.watermark))
      assert.isNotEmpty(session)
      assert.isAtMost(welcome.receivedAt, welcome.sentAt)
    })
  ),

  refusing("another protocol version", "version", { version: 99 }),
  refusing("another replica set", "wrong_cluster", { cluster: "another" }),
  refusing("the replica that is called", "self", { replica: Rig.b }),
  refusing("somebody who is not a member", "stranger", { replica: ReplicaId.make("d") }),
  refusing(
    "a second replica with the id of a live one",
    "duplicate",
    // Newer, so that it is not refused for that.
    { incarnation: "f000000000000000" as LogId.Incarnation, run: "00000000000000a2" as RunId.RunId },
    [Rig.hello]
  ),
  refusing("a second process on the store of a live one", "duplicate", startedAgain, [Rig.hello]),

  Conformance.make(
    "a replica that is started again is greeted as soon as what its run before spoke on is gone",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      yield* rig.serve(Rig.b)
      const before = yield* Scope.make()
      yield* Scope.provide(Effect.flatMap(rig.transport(), Rig.connect), before)
      yield* within("closing the connection")(Scope.close(before, Exit.void))
      const client = yield* (yield* rig.transport()).connect(Rig.b)
      const greeted = client.hello({ ...Rig.hello, ...startedAgain })
      // Sooner than the run before would have to be silent for.
      yield* within("the handshake", 1500)(Effect.retry(greeted, Schedule.spaced(20)))
    })
  ),

  Conformance.make(
    "a handshake may be repeated, and keeps its session",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      yield* rig.serve(Rig.b)
      const { client, welcome } = yield* Rig.connect(yield* rig.transport())
      assert.strictEqual((yield* client.hello(Rig.hello)).session, welcome.session)
    })
  ),

  Conformance.make(
    "L39 a session is of use to the connection on which it was opened, and to no other of the same member",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      yield* rig.serve(Rig.b)
      const transport = yield* rig.transport()
      const first = yield* Rig.connect(transport)
      const second = yield* Rig.connect(transport)
      assert.notStrictEqual(second.welcome.session, first.welcome.session)
      const log = source(Rig.logA, 2)
      const push = { session: first.welcome.session, batch: range(log, 1, 1) }
      const refusal = yield* refused("the push on another connection", within("the push")(second.client.push(push)))
      assert.instanceOf(refusal, PeerProtocol.SessionUnknown)
      // And the one that came first goes on, as the other does.
      assert.strictEqual((yield* first.push(range(log, 1, 1))).seq, 1)
      assert.strictEqual((yield* second.push(range(log, 2, 2))).seq, 2)
    })
  ),

  Conformance.make(
    "nothing is taken and nothing is given without a handshake",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const log = source(Rig.logA, 3)
      const client = yield* (yield* rig.transport()).connect(Rig.b)
      const push = yield* refused("the push", within("the push")(client.push({ session: "x", batch: log })))
      assert.instanceOf(push, PeerProtocol.SessionUnknown)
      const pull = yield* refused(
        "the pull",
        within("the pull")(client.pull({ session: "", log: Rig.logA, after: 0, maxBytes: 1024 }))
      )
      assert.instanceOf(pull, PeerProtocol.SessionUnknown)
      assert.strictEqual((yield* head(peer.store, Rig.logA)).seq, 0)
      const { push: known } = yield* Rig.connect(yield* rig.transport())
      assert.strictEqual((yield* known(range(log, 1, 2))).seq, 2)
    })
  )
]
