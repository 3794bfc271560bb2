/** Peers that are away, die, restart, are slow or never answer. */
import { assert } from "@effect/vitest"
import { EntryBatch } from "@quorum/core/adapter"
import { Effect, Exit, Fiber } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { Wire } from "../../Wire.ts"
import { held, range, source, texts } from "../entries.ts"
import { until, within } from "../waiting.ts"
import { pushOnSlowDisk, unreachable } from "./broken.ts"
import * as Rig from "./rig.ts"

const log = source(Rig.logA, 12)
export const cases: ReadonlyArray<Conformance.Case<Wire>> = [
  Conformance.make(
    "a peer that nobody serves fails as refused",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const transport = yield* rig.transport()
      const call = Effect.flatMap(transport.connect(Rig.b), (client) => client.hello(Rig.hello))
      for (let i = 0; i < 3; i++) {
        const error = unreachable(yield* within("the handshake")(Effect.exit(Effect.scoped(call))))
        assert.strictEqual(error.reason, "refused")
        assert.strictEqual(error.peer, Rig.b)
      }
    })
  ),

  Conformance.make(
    "a push under way when the peer dies fails, and what was not acked is made good on the next connection",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.replica(Rig.b)
      const before = yield* peer.start
      const transport = yield* rig.transport()
      const old = yield* Rig.connect(transport)
      yield* within("the push")(old.push(range(log, 1, 4)))
      const { disk, fiber } = yield* pushOnSlowDisk(peer.faults, old.push(range(log, 5, 9)))
      yield* before.die
      unreachable(yield* within("the push under way")(Fiber.await(fiber)))
      disk.openUnsafe()
      yield* peer.start
      const { push, welcome } = yield* Rig.connect(transport)
      const after = welcome.vector.find((watermark) => watermark.log === Rig.logA)?.seq ?? 0
      assert.include([4, 9], after, "the peer holds the push whole or not at all")
      for (const batch of [range(log, after + 1, 12), log]) {
        assert.deepStrictEqual(yield* within("the push")(push(batch)), { replica: Rig.b, ...EntryBatch.watermark(log) })
      }
      assert.deepStrictEqual(yield* held(peer.store, Rig.logA), texts(log))
    })
  ),

  Conformance.make(
    "a server stops in bounded time though peers are connected, and answers again when it is started",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.replica(Rig.b)
      const before = yield* peer.start
      const transport = yield* rig.transport()
      const old = yield* Rig.connect(transport)
      yield* within("the push")(old.push(range(log, 1, 4)))
      yield* within("stopping")(before.stop)
      assert.isTrue(Exit.isFailure(yield* within("a call to it")(Effect.exit(old.push(range(log, 5, 6))))))
      yield* peer.start
      // The old connection may be of use again or not; it may not say that it knows the session.
      assert.isTrue(Exit.isFailure(yield* within("a call to it")(Effect.exit(old.push(range(log, 5, 6))))))
      const { push, welcome } = yield* Rig.connect(transport)
      assert.deepStrictEqual(welcome.vector, [EntryBatch.watermark(range(log, 1, 4))])
      assert.strictEqual((yield* within("the push")(push(range(log, 5, 12)))).seq, 12)
      assert.deepStrictEqual(yield* held(peer.store, Rig.logA), texts(log))
    })
  ),

  Conformance.make(
    "a peer whose disk is slow answers handshakes and pulls meanwhile",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      yield* rig.serve(Rig.c)
      const transport = yield* rig.transport()
      const { client, pull, push } = yield* Rig.connect(transport)
      yield* within("the push")(push(range(log, 1, 4)))
      const { disk, fiber } = yield* pushOnSlowDisk(peer.faults, push(range(log, 5, 9)))
      yield* within("a handshake")(client.hello(Rig.hello))
      assert.strictEqual((yield* within("a pull")(pull(Rig.logA, 0))).batch?.count, 4)
      yield* Rig.connect(transport, Rig.c)
      disk.openUnsafe()
      assert.strictEqual((yield* within("the push")(Fiber.join(fiber))).seq, 9)
    })
  ),

  Conformance.make(
    "a call that is interrupted ends at once, and the connection goes on",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const { client, push } = yield* Rig.connect(yield* rig.transport())
      const { disk, fiber } = yield* pushOnSlowDisk(peer.faults, push(range(log, 1, 4)))
      yield* within("interrupting the push", 2000)(Fiber.interrupt(fiber))
      yield* within("a handshake")(client.hello(Rig.hello))
      disk.openUnsafe()
      assert.strictEqual((yield* within("the push")(push(range(log, 1, 6)))).seq, 6)
      assert.deepStrictEqual(yield* held(peer.store, Rig.logA), texts(range(log, 1, 6)))
    })
  ),

  Conformance.make(
    "a peer that never answers can be given up",
    Effect.gen(function* () {
      let asked = 0
      const rig = yield* Rig.make
      yield* rig.serve(Rig.b, (handler) => ({
        ...handler,
        push: () =>
          Effect.suspend(() => {
            asked++
            return Effect.never
          })
      }))
      const { client, push } = yield* Rig.connect(yield* rig.transport())
      const pushed = yield* Effect.forkChild(push(log), { startImmediately: true })
      yield* until("the peer was asked", () => asked === 1)
      yield* within("interrupting the push", 2000)(Fiber.interrupt(pushed))
      yield* within("a handshake")(client.hello(Rig.hello))
    })
  )
]
