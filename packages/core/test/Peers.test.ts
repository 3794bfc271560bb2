import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { LogId, ReplicaEvents, ReplicaSet } from "../src/index.ts"
import type { Chain } from "../src/adapter.ts"
import * as Peers from "../src/peer/Peers.ts"
import * as Cluster from "./support/cluster.ts"

const [b, stranger] = [Cluster.id("b"), Cluster.id("z")]
const log = LogId.make(Cluster.id("a"), "00000000000000aa" as LogId.Incarnation)
const chain = "0000000000000001" as Chain.Chain
const monotonicMillis = 1
const incarnation = "00000000000000bb" as LogId.Incarnation
const ack = (seq: number, peer = b, of = incarnation): Peers.PeerEvent => ({
  _tag: "Ack",
  how: "push",
  peer,
  incarnation: of,
  watermark: { log, seq, chain },
  monotonicMillis
})
const drift: Peers.PeerEvent = { _tag: "Drift", peer: b, log, monotonicMillis }
const up: Peers.PeerEvent = { _tag: "Link", peer: b, link: { _tag: "Up", sinceWallMillis: 5 }, monotonicMillis }
const down: Peers.PeerEvent = {
  _tag: "Link",
  peer: b,
  link: {
    _tag: "Down",
    sinceWallMillis: 5,
    sinceMonotonicMillis: 1,
    verdict: { _tag: "timed_out" },
    detail: "no answer"
  },
  monotonicMillis
}

/** Peers, what their listeners heard, and what those of the replica did. */
const listened = Effect.gen(function* () {
  const peers = yield* Peers.Peers
  const events = yield* ReplicaEvents.ReplicaEvents
  const heard: Array<Peers.PeerEvent> = []
  const told: Array<ReplicaEvents.ReplicaEvent> = []
  peers.listen((event) => heard.push(event))
  events.listen((event) => told.push(event))
  return { peers, heard, told }
})

const test = (name: string, run: (set: Effect.Success<typeof listened>) => void) =>
  it.effect(name, () =>
    Effect.map(listened, run).pipe(
      Effect.provide(
        Peers.layer.pipe(
          Layer.provideMerge(ReplicaEvents.layer),
          Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a", "b", "c"] }))
        )
      )
    )
  )

describe("Peers", () => {
  test("a watermark only rises, and one that says nothing new is not told", ({ heard, peers }) => {
    for (const seq of [3, 3, 2, 4]) peers.report(ack(seq))
    assert.strictEqual(peers.get(b).watermarks.get(log)?.seq, 4)
    assert.deepStrictEqual(heard, [ack(3), ack(4)])
  })

  test("L57 an ack of another life of a peer than the newest counts for nothing", ({ heard, peers }) => {
    const former = "00000000000000ba" as LogId.Incarnation
    peers.met(b, incarnation)
    peers.report(ack(3, b, former))
    assert.isUndefined(peers.get(b).watermarks.get(log))
    peers.report(ack(2))
    peers.report(ack(4, b, former))
    assert.strictEqual(peers.get(b).watermarks.get(log)?.seq, 2)
    assert.deepStrictEqual(heard, [ack(2)])
  })

  test("L55 what a peer that ceases to vote acked is taken back, and counts again only when it acks again", (set) => {
    const { heard, peers, told } = set
    peers.report(ack(3))
    peers.votes(b, true)
    peers.votes(b, false)
    peers.votes(b, false)
    assert.isUndefined(peers.get(b).watermarks.get(log))
    peers.report(ack(4))
    peers.votes(b, true)
    assert.isUndefined(peers.get(b).watermarks.get(log))
    peers.report(ack(4))
    assert.strictEqual(peers.get(b).watermarks.get(log)?.seq, 4)
    assert.deepStrictEqual(
      heard.map(({ _tag }) => _tag),
      ["Ack", "TakenBack", "Ack"]
    )
    assert.deepStrictEqual(
      told.map(({ _tag }) => _tag),
      ["Acked", "TakenBack", "Acked"]
    )
  })

  test("L5 an ack of a stranger is nothing", ({ heard, peers, told }) => {
    peers.report(ack(3, stranger))
    assert.deepStrictEqual([heard.length, told.length], [0, 0])
    assert.isUndefined(peers.all().find(({ id }) => id === stranger))
  })

  test("a drift takes the watermark back, is told once, and no ack of the log counts after it", ({ heard, peers }) => {
    peers.report(ack(3))
    peers.report(drift)
    peers.report(drift)
    peers.report(ack(4))
    assert.isUndefined(peers.get(b).watermarks.get(log))
    assert.isTrue(peers.get(b).drifted.has(log))
    assert.deepStrictEqual(heard, [ack(3), drift])
  })

  test("the first rejection of a log stands", ({ peers }) => {
    const rejected = (seq: number): Peers.PeerEvent => ({
      _tag: "Rejected",
      peer: b,
      log,
      seq,
      detail: "no",
      monotonicMillis
    })
    peers.report(rejected(3))
    peers.report(rejected(2))
    assert.strictEqual(peers.get(b).rejected.get(log)?.seq, 3)
  })

  test("a new connection forgets what was held, where it differed and what was rejected", ({ peers }) => {
    peers.report(ack(3))
    peers.reset(b)
    assert.strictEqual(peers.get(b).watermarks.size, 0)
    peers.report(drift)
    peers.reset(b)
    peers.report(ack(1))
    assert.strictEqual(peers.get(b).watermarks.get(log)?.seq, 1)
  })

  test("a link that changes is told, and one that stays as it is, is not", ({ heard, peers, told }) => {
    for (const event of [up, up, down, down, down, up]) peers.report(event)
    assert.deepStrictEqual(
      told.map((event) => (event._tag === "LinkChanged" ? event.link : event._tag)),
      ["up", "down", "up"]
    )
    // Who decides about writes hears of every failed try.
    assert.strictEqual(heard.length, 6)
  })

  test("tells acks, drifts and rejections", ({ peers, told }) => {
    peers.report(ack(3))
    peers.report({ _tag: "Rejected", peer: b, log, seq: 4, detail: "no", monotonicMillis })
    peers.report(drift)
    assert.deepStrictEqual(told, [
      { _tag: "Acked", peer: b, log, seq: 3 },
      { _tag: "Rejected", peer: b, log, seq: 4, detail: "no" },
      { _tag: "Drifted", peer: b, log }
    ])
  })
})
