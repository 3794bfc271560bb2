/** How the own log is pushed: to whom, how much at once, and with which pauses. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { type Chain, EntryBatch, PeerProtocol, Watermark } from "../src/adapter.ts"
import { Entry, HybridLogicalClock, LogId } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during, pass } from "./support/time.ts"

const put = (bytes: number) => Entry.put("notes", "k", new Uint8Array(bytes))

/** Bytes of an entry beside its value. */
const overhead = EntryBatch.encode(
  Watermark.none(LogId.make(Cluster.id("a"), "00000000000000aa" as LogId.Incarnation)),
  [put(0)],
  HybridLogicalClock.zero,
  1
).batch.bytes.length

/** A peer that is behind by entries of these sizes and takes 100 ms for each push; what it was pushed, and when. */
const behind = Effect.fnUntraced(function* (...sizes: ReadonlyArray<number>) {
  const { a, cluster } = yield* Cluster.running("ab", 1, "a")
  for (const size of sizes) yield* during(a.writer.commit(put(size - overhead)), 1000)
  const pushes: Array<{ readonly bytes: number; readonly at: number }> = []
  let first: number | undefined
  cluster.faults.set("a>b", (client) => ({
    ...client,
    push: (request) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        first ??= now
        // The pause before a peer is asked again is drawn, so the first push is made at a fraction of a millisecond.
        pushes.push({ bytes: request.batch.bytes.length, at: Math.round(now - first) })
        return Effect.andThen(Effect.sleep(100), client.push(request))
      })
  }))
  cluster.faults.set("b>a", (client) => ({ ...client, pull: () => Effect.succeed({ batch: null }) }))
  yield* cluster.start("b")
  // Up to when the first push is made.
  while (first === undefined) yield* TestClock.adjust(1)
  return { a, pushes }
})

describe("pushes", () => {
  const half = PeerProtocol.maxBatchBytes / 2

  it.effect("larger than half of what a push may be are made one at a time", () =>
    Effect.gen(function* () {
      const { pushes } = yield* behind(half + 1, half + 1)
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(pushes, [
        { bytes: half + 1, at: 0 },
        { bytes: half + 1, at: 100 }
      ])
    })
  )

  it.effect("up to half of what a push may be are made while others are under way", () =>
    Effect.gen(function* () {
      const { pushes } = yield* behind(half, half + 1)
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(pushes, [
        { bytes: half, at: 0 },
        { bytes: half + 1, at: 0 }
      ])
    })
  )

  it.effect("that are large leave commits that come meanwhile a pause, as a share of the time that they took", () =>
    Effect.gen(function* () {
      const { a, pushes } = yield* behind(half + 1, half + 1)
      yield* TestClock.adjust(50)
      yield* during(a.writer.commit(put(100)), 0)
      yield* TestClock.adjust(300)
      assert.deepStrictEqual(
        pushes.map(({ at }) => at),
        [0, 240]
      )
    })
  )

  it.effect("are not made to a peer whose copy differs", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const pushes: Array<number> = []
      cluster.faults.set("a>b", (client) => ({
        ...client,
        push: (request) => {
          pushes.push(request.batch.from)
          return Effect.map(client.push(request), (ack) => ({ ...ack, chain: "00000000000000ff" as Chain.Chain }))
        }
      }))
      yield* cluster.start("b")
      const a = yield* cluster.start("a")
      yield* TestClock.adjust(500)
      for (let i = 0; i < 3; i++) yield* during(a.writer.commit(put(100)), 10)
      assert.isTrue(a.peers.get(Cluster.id("b")).drifted.has(a.logs.own))
      assert.deepStrictEqual(pushes, [1])
    })
  )
})

describe("L55 an ack of a replica that does not vote", () => {
  /** `b` says with its acks whether it votes, as the test will have it, and votes by every handshake. */
  const saying = Effect.gen(function* () {
    const cluster = yield* Cluster.make(["a", "b"], 2)
    const said = { voting: false, hellos: 0 }
    cluster.faults.set("a>b", (client) => ({
      ...client,
      hello: (request) => Effect.tap(client.hello(request), () => Effect.sync(() => said.hellos++)),
      push: (request) => Effect.map(client.push(request), (ack) => ({ ...ack, voting: said.voting }))
    }))
    const [a] = yield* Effect.all([cluster.start("a"), cluster.start("b")])
    yield* TestClock.adjust(1000)
    return { a, said, b: () => a.peers.get(Cluster.id("b")) }
  })

  it.effect("does not count, and takes back what it acked before", () =>
    Effect.gen(function* () {
      const { a, b, said } = yield* saying
      said.voting = true
      yield* during(a.writer.commit(put(1)), 100)
      assert.strictEqual(b().watermarks.get(a.logs.own)?.seq, 1)
      said.voting = false
      const write = yield* Effect.forkChild(a.writer.commit(put(2)))
      let most = 0
      a.peers.listen((event) => {
        if (event._tag === "Ack" && event.how === "push") most = event.watermark.seq
      })
      yield* pass(20)
      const found = [b().voting, b().watermarks.get(a.logs.own), write.pollUnsafe(), most]
      // So that it ends also where it should not.
      yield* pass(5000)
      assert.deepStrictEqual(found, [false, undefined, undefined, 0])
    })
  )

  it.effect("is none either when it says that it votes by now, until it is greeted again, at once", () =>
    Effect.gen(function* () {
      const { a, b, said } = yield* saying
      yield* Effect.forkChild(a.writer.commit(put(1)))
      yield* TestClock.adjust(1)
      assert.isFalse(b().voting)
      said.voting = true
      const { hellos } = said
      const how: Array<string> = []
      a.peers.listen((event) => {
        if (event._tag === "Ack") how.push(`${event.how} ${event.watermark.seq}`)
      })
      yield* Effect.forkChild(a.writer.commit(put(2)))
      yield* TestClock.adjust(5)
      assert.strictEqual(said.hellos, hellos + 1)
      assert.isTrue(b().voting)
      assert.deepStrictEqual(how, ["vector 2"])
    })
  )
})

describe("an ack", () => {
  const odd: Readonly<Record<string, (ack: PeerProtocol.Ack) => PeerProtocol.Ack>> = {
    "that knows of other lives of the members": (ack) => ({ ...ack, members: ack.members ^ 1 }),
    "of another life than was greeted": (ack) => ({ ...ack, incarnation: "00000000000000ff" as LogId.Incarnation })
  }
  for (const [what, change] of Object.entries(odd)) {
    it.effect(`L57 ${what} does not count, and what is told in a handshake then does`, () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b"], 2)
        cluster.faults.set("a>b", (client) => ({
          ...client,
          push: (request) => Effect.map(client.push(request), change)
        }))
        const [a] = yield* Effect.all([cluster.start("a"), cluster.start("b")])
        yield* TestClock.adjust(1000)
        const { acked } = yield* during(a.writer.commit(put(1)), 100)
        assert.deepStrictEqual(
          acked.map(({ how, replica }) => `${replica} ${how}`),
          ["a self", "b vector"]
        )
      })
    )
  }
})
