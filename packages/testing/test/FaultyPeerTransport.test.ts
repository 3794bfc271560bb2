import { assert, describe, it } from "@effect/vitest"
import { ReplicaId } from "@quorum/core"
import { type PeerProtocol, PeerTransport } from "@quorum/core/adapter"
import { Context, Effect, Exit, Fiber, Layer, Latch } from "effect"
import { FaultyPeerTransport } from "../src/index.ts"

const b = ReplicaId.make("b")
const c = ReplicaId.make("c")

/** A peer that notes what it is asked, by `maxBytes`, and answers at once. */
const setUp = Effect.fnUntraced(function* (plan?: Parameters<typeof FaultyPeerTransport.faults>[0]) {
  const seen: Array<number> = []
  const client = {
    hello: () => Effect.die("not expected"),
    push: () => Effect.die("not expected"),
    read: () => Effect.die("not expected"),
    verify: () => Effect.die("not expected"),
    probe: () => Effect.die("not expected"),
    pull: ({ maxBytes }: PeerProtocol.Pull) =>
      Effect.sync(() => {
        seen.push(maxBytes)
        return { batch: null }
      })
  }
  const faults = FaultyPeerTransport.faults(plan)
  const inner: PeerTransport.PeerTransport["Service"] = { maxInFlight: 4, connect: () => Effect.succeed(client) }
  const context = yield* Layer.build(
    FaultyPeerTransport.layer(faults).pipe(Layer.provide(Layer.succeed(PeerTransport.PeerTransport, inner)))
  )
  const transport = Context.get(context, PeerTransport.PeerTransport)
  assert.strictEqual(transport.maxInFlight, 4)
  const connect = (peer = b) =>
    Effect.map(
      transport.connect(peer),
      (client) => (n: number) =>
        client.pull({ session: "s", log: "a@00000000000000aa" as never, after: 0, maxBytes: n })
    )
  return { seen, faults, connect }
})

/** Whether a call has ended after all that can go on without time has gone on. */
const pending = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.map(Effect.repeat(Effect.yieldNow, { times: 20 }), () => fiber.pollUnsafe() === undefined)

const start = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

const isBroken = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) && String(exit.cause).includes("the connection broke")

describe("FaultyPeerTransport", () => {
  it.effect("without faults it is the transport that it decorates", () =>
    Effect.gen(function* () {
      const { connect, faults, seen } = yield* setUp()
      const call = yield* connect()
      assert.deepStrictEqual(yield* call(1), { batch: null })
      assert.deepStrictEqual(seen, [1])
      assert.strictEqual(faults.counts().size, 0)
    })
  )

  it.effect("a dropped request does not arrive, a dropped answer does not come back", () =>
    Effect.gen(function* () {
      const { connect, faults, seen } = yield* setUp()
      const call = yield* connect()
      faults.inject(FaultyPeerTransport.droppedRequest)
      faults.inject(FaultyPeerTransport.droppedAnswer)
      assert.isTrue(yield* pending(yield* start(call(1))))
      assert.isTrue(yield* pending(yield* start(call(2))))
      yield* call(3)
      assert.deepStrictEqual(seen, [2, 3])
      assert.strictEqual(faults.count("DroppedRequest"), 1)
      assert.strictEqual(faults.count("DroppedAnswer"), 1)
    })
  )

  it.effect("a delayed request arrives when its wait ends", () =>
    Effect.gen(function* () {
      const { connect, faults, seen } = yield* setUp()
      const call = yield* connect()
      const gate = Latch.makeUnsafe()
      faults.inject(FaultyPeerTransport.delayUntil(gate.await))
      const delayed = yield* start(call(1))
      yield* call(2)
      assert.isTrue(yield* pending(delayed))
      gate.openUnsafe()
      yield* Fiber.join(delayed)
      assert.deepStrictEqual(seen, [2, 1])
      assert.strictEqual(faults.count("Delay"), 1)
    })
  )

  it.effect("a duplicate arrives twice and is answered once", () =>
    Effect.gen(function* () {
      const { connect, faults, seen } = yield* setUp()
      const call = yield* connect()
      faults.inject(FaultyPeerTransport.duplicate)
      yield* call(1)
      yield* Effect.yieldNow
      assert.deepStrictEqual(seen, [1, 1])
      assert.strictEqual(faults.count("Duplicate"), 1)
    })
  )

  it.live("a reordered request is overtaken by the next, and counts only then", () =>
    Effect.gen(function* () {
      const { connect, faults, seen } = yield* setUp()
      const call = yield* connect()
      faults.inject(FaultyPeerTransport.reorder(5000))
      const overtaken = yield* start(call(1))
      yield* call(2)
      yield* Fiber.join(overtaken)
      assert.deepStrictEqual(seen, [2, 1])
      assert.strictEqual(faults.count("Reorder"), 1)
      faults.inject(FaultyPeerTransport.reorder(5))
      yield* call(3)
      assert.deepStrictEqual(seen, [2, 1, 3])
      assert.strictEqual(faults.count("Reorder"), 1)
    })
  )

  it.effect("a connection that breaks fails what is under way and what comes later, and a new one works", () =>
    Effect.gen(function* () {
      const { connect, faults } = yield* setUp()
      const call = yield* connect()
      const other = yield* connect(c)
      faults.inject(FaultyPeerTransport.droppedAnswer)
      const waiting = yield* start(call(1))
      assert.isTrue(yield* pending(waiting))
      faults.disconnect(b)
      assert.isTrue(isBroken(yield* Fiber.await(waiting)))
      assert.isTrue(isBroken(yield* Effect.exit(call(2))))
      yield* other(3)
      yield* (yield* connect())(4)
      assert.strictEqual(faults.count("Disconnect"), 1)
      faults.inject(FaultyPeerTransport.disconnect)
      assert.isTrue(isBroken(yield* Effect.exit((yield* connect())(5))))
      assert.strictEqual(faults.count("Disconnect"), 2)
    })
  )

  for (const [direction, arrives] of [
    ["requests", false],
    ["answers", true],
    ["both", false]
  ] as const) {
    it.effect(`a partition of ${direction} swallows what goes that way until it heals`, () =>
      Effect.gen(function* () {
        const { connect, faults, seen } = yield* setUp()
        const call = yield* connect()
        faults.partition(b, direction)
        assert.isTrue(yield* pending(yield* start(call(1))))
        assert.deepStrictEqual(seen, arrives ? [1] : [])
        assert.isTrue(yield* pending(yield* start(Effect.scoped(connect()))))
        assert.strictEqual(faults.count("Partition"), 2)
        yield* (yield* connect(c))(2)
        faults.heal(b)
        yield* call(3)
        assert.strictEqual(faults.count("Partition"), 2)
      })
    )
  }
})
