/** What counts for the writes that wait, on both sides of every edge. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import { TestClock } from "effect/testing"
import { LogId, type QuorumError, type QuorumPolicy, type Receipt, ReplicaSet, WriteId } from "../src/index.ts"
import { RunId, type Version } from "../src/adapter.ts"
import * as Peers from "../src/peer/Peers.ts"
import * as InFlight from "../src/write/internal/InFlight.ts"
import * as Cluster from "./support/cluster.ts"

const [idA, idB, idC] = [Cluster.id("a"), Cluster.id("b"), Cluster.id("c")]
const log = LogId.make(idA, "00000000000000aa" as LogId.Incarnation)
const other = LogId.make(idB, "00000000000000bb" as LogId.Incarnation)
const chain = "0000000000000001" as never
const ackTimeout = 500
const version: Version.Version = { clock: { wallTime: 7, logical: 1 }, tie: RunId.none }

const set = ReplicaSet.layer({ cluster: "test", self: "a", members: ["a", "b", "c"] })

/** Nobody waits yet; both peers are connected. */
const setUp = Effect.gen(function* () {
  const peers = yield* Peers.Peers
  const inFlight = yield* InFlight.make(
    () => undefined,
    (answer) => answer(),
    () => 0
  )
  const up = (peer: typeof idB) =>
    peers.report({ _tag: "Link", peer, link: { _tag: "Up", sinceWallMillis: 0 }, monotonicMillis: 0 })
  const down = (peer: typeof idB, verdict: QuorumError.Verdict = { _tag: "refused" }) =>
    peers.report({
      _tag: "Link",
      peer,
      link: { _tag: "Down", sinceWallMillis: 0, sinceMonotonicMillis: 0, verdict, detail: "gone" },
      monotonicMillis: 0
    })
  const incarnation = "00000000000000bb" as LogId.Incarnation
  const ack = (peer: typeof idB, seq: number, at = 0, of = log) =>
    peers.report({
      _tag: "Ack",
      how: "push",
      peer,
      incarnation,
      watermark: { log: of, seq, chain },
      monotonicMillis: at
    })
  const drift = (peer: typeof idB, of = log) => peers.report({ _tag: "Drift", peer, log: of, monotonicMillis: 0 })
  const reject = (peer: typeof idB, seq: number, of = log) =>
    peers.report({ _tag: "Rejected", peer, log: of, seq, detail: "no", monotonicMillis: 0 })
  up(idB)
  up(idC)
  /** Waits for the writes `from` to `to`; the answers come one by one. */
  const watch = (
    from: number,
    to: number,
    policy: QuorumPolicy.QuorumPolicy = Cluster.policy(3, 2, { ackTimeout })
  ) => {
    const answers: Array<Effect.Effect<Receipt.Receipt, QuorumError.QuorumNotMet>> = []
    const waiters = Array.from({ length: to - from + 1 }, (_, i) => ({
      resume: (answer: Effect.Effect<Receipt.Receipt, QuorumError.QuorumNotMet>) => void answers.push(answer),
      seq: from + i,
      check: 0xab,
      version,
      monotonicMillis: 0,
      cancelled: false
    }))
    inFlight.watch(log, policy, waiters, 0, true)
    return answers
  }
  return { peers, inFlight, up, down, ack, drift, reject, watch }
})

const test = (name: string, body: Effect.Effect<void, unknown, Effect.Services<typeof setUp>>) =>
  it.effect(name, () => body.pipe(Effect.scoped, Effect.provide(Layer.provideMerge(Peers.layer, set))))

/** The only error among the answers. */
const errorOf = (answers: ReadonlyArray<Effect.Effect<Receipt.Receipt, QuorumError.QuorumNotMet>>) =>
  Effect.flip(answers[0]!)

describe("InFlight", () => {
  test(
    "NoPhantomAck: an ack up to the last write but one counts for none, and one up to the last for all",
    Effect.gen(function* () {
      const { ack, inFlight, watch } = yield* setUp
      const answers = watch(4, 6)
      ack(idB, 5)
      ack(idC, 5)
      assert.deepStrictEqual([answers.length, inFlight.waiting(), inFlight.size()], [0, 3, 1])
      ack(idC, 6)
      const receipts = yield* Effect.all(answers)
      assert.deepStrictEqual(
        receipts,
        [4, 5, 6].map((seq) => ({
          writeId: WriteId.make(log, seq, 0xab),
          ...version,
          policy: Cluster.policy(3, 2, { ackTimeout }),
          acked: [
            { replica: idA, afterMillis: 0, how: "self" as const },
            { replica: idC, afterMillis: 0, how: "push" as const }
          ],
          missing: { b: { _tag: "lagging" as const, by: 6 } },
          durationMillis: 0
        }))
      )
      assert.deepStrictEqual([inFlight.waiting(), inFlight.size()], [0, 0])
    })
  )

  test(
    "L52 NoPhantomAck: once other entries are held at the places of writes, nobody is counted for them any more",
    Effect.gen(function* () {
      const { ack, peers, watch } = yield* setUp
      const replaced = (after: number) => {
        for (const peer of [idB, idC]) peers.report({ _tag: "Replaced", peer, log, after, monotonicMillis: 0 })
      }
      const before = watch(5, 6)
      replaced(6)
      ack(idB, 6)
      assert.deepStrictEqual(
        (yield* before[0]!).acked.map(({ replica }) => replica),
        [idA, idB]
      )
      const answers = watch(7, 8)
      replaced(7)
      ack(idB, 8)
      const error = yield* errorOf(answers)
      assert.deepStrictEqual([error.reason, error.got], ["id_drift", 1])
      // What they had acked was of the entries before, too.
      assert.strictEqual(peers.get(idB).watermarks.get(log)?.seq, 8)
      replaced(7)
      assert.strictEqual(peers.get(idB).watermarks.size, 0)
    })
  )

  test(
    "what a connected peer held before counts if it reaches the last write, and not if it ends one before",
    Effect.gen(function* () {
      const { ack, watch } = yield* setUp
      ack(idB, 6)
      assert.strictEqual(watch(6, 7).length, 0)
      assert.strictEqual(watch(5, 6).length, 2)
    })
  )

  test(
    "L57 what a peer held before does not count while it cannot be asked",
    Effect.gen(function* () {
      const { ack, down, inFlight, watch } = yield* setUp
      ack(idB, 6)
      ack(idC, 6)
      for (const peer of [idB, idC]) down(peer)
      assert.strictEqual(watch(6, 6).length, 0)
      assert.deepStrictEqual(inFlight.holders(log, 6, Cluster.policy(3, 2)).holders, [idA])
    })
  )

  test(
    "an ack of another log does not count, however far it reaches",
    Effect.gen(function* () {
      const { ack, watch } = yield* setUp
      const answers = watch(1, 1)
      ack(idB, 100, 0, other)
      assert.strictEqual(answers.length, 0)
      ack(idB, 1)
      assert.strictEqual(answers.length, 1)
    })
  )

  test(
    "a drift ends the hope in a peer for that log, known before or not, and not for another",
    Effect.gen(function* () {
      const { ack, drift, watch } = yield* setUp
      const all = Cluster.policy(3, 3, { ackTimeout })
      drift(idB, other)
      const first = watch(1, 1, all)
      drift(idC, other)
      for (const peer of [idB, idC]) ack(peer, 1)
      assert.deepStrictEqual(
        (yield* first[0]!).acked.map(({ replica }) => replica),
        [idA, idB, idC]
      )
      const second = watch(2, 2, all)
      drift(idB)
      assert.deepInclude({ ...(yield* errorOf(second)) }, { reason: "id_drift", got: 1 })
      assert.deepInclude({ ...(yield* errorOf(watch(3, 3, all))) }, { reason: "id_drift", got: 1 })
    })
  )

  test(
    "a rejection concerns the writes from that entry on, in that log",
    Effect.gen(function* () {
      const { ack, reject, watch } = yield* setUp
      const all = Cluster.policy(3, 3, { ackTimeout })
      const [before, at] = [watch(4, 4, all), watch(5, 5, all)]
      reject(idC, 1, other)
      reject(idB, 5)
      assert.deepStrictEqual([before.length, at.length], [0, 1])
      assert.deepStrictEqual((yield* errorOf(at)).verdicts[idB], { _tag: "rejected", detail: "no" })
      for (const peer of [idB, idC]) ack(peer, 4)
      assert.deepStrictEqual(
        (yield* before[0]!).acked.map(({ replica }) => replica),
        [idA, idB, idC]
      )
      // Known before, on both sides of the edge.
      assert.deepStrictEqual(
        (yield* watch(4, 4, all)[0]!).acked.map(({ replica }) => replica),
        [idA, idB, idC]
      )
      assert.strictEqual((yield* errorOf(watch(5, 5, all))).verdicts[idB]?._tag, "rejected")
    })
  )

  test(
    "a connection that broke is not final, whatever broke it: an ack after it counts",
    Effect.gen(function* () {
      const { ack, down, watch } = yield* setUp
      const answers = watch(1, 1, Cluster.policy(3, 3, { ackTimeout }))
      down(idB, { _tag: "rejected", detail: "another replica set" })
      down(idC, { _tag: "drifted" })
      assert.strictEqual(answers.length, 0)
      for (const peer of [idB, idC]) ack(peer, 1)
      assert.deepStrictEqual(
        (yield* answers[0]!).acked.map(({ replica }) => replica),
        [idA, idB, idC]
      )
    })
  )

  test(
    "L2 an ack that came at the deadline counts, and one that came a millisecond later does not",
    Effect.gen(function* () {
      for (const [at, tag] of [
        [ackTimeout, "Success"],
        [ackTimeout + 1, "Failure"]
      ] as const) {
        const { ack, watch } = yield* setUp
        const answers = watch(at, at)
        ack(idB, at, at)
        assert.strictEqual((yield* Effect.exit(answers[0]!))._tag, tag)
      }
    })
  )

  test(
    "writes are answered a millisecond after their deadline, and each group at its own",
    Effect.gen(function* () {
      const { watch } = yield* setUp
      const late = watch(1, 1, Cluster.policy(3, 2, { ackTimeout: 700 }))
      const early = watch(2, 3)
      yield* TestClock.adjust(500)
      assert.deepStrictEqual([early.length, late.length], [0, 0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([early.length, late.length], [2, 0])
      yield* TestClock.adjust(199)
      assert.strictEqual(late.length, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(late.length, 1)
      const ids = yield* Effect.all(early.map((answer) => Effect.map(Effect.flip(answer), ({ writeId }) => writeId)))
      assert.deepStrictEqual(ids, [WriteId.make(log, 2, 0xab), WriteId.make(log, 3, 0xab)])
    })
  )

  test(
    "a connected peer lags by what is missing up to the last write of the group",
    Effect.gen(function* () {
      const { ack, watch } = yield* setUp
      ack(idB, 1)
      const answers = watch(3, 5, Cluster.policy(3, 3, { ackTimeout }))
      ack(idB, 4)
      yield* TestClock.adjust(ackTimeout + 1)
      const { reason, verdicts } = yield* errorOf(answers)
      assert.strictEqual(reason, "timeout")
      assert.deepStrictEqual(verdicts, {
        [idA]: { _tag: "acked" },
        [idB]: { _tag: "lagging", by: 1 },
        [idC]: { _tag: "lagging", by: 5 }
      })
    })
  )

  test(
    "an ack after its own copy stopped to count is late, of a write that was given up for that",
    Effect.gen(function* () {
      const { ack, inFlight, watch } = yield* setUp
      const answers = watch(1, 2)
      inFlight.giveUp()
      assert.deepInclude({ ...(yield* errorOf(answers)) }, { reason: "in_flight", got: 1 })
      ack(idB, 2)
      const { verdicts } = inFlight.holders(log, 2, Cluster.policy(3, 2))
      assert.deepStrictEqual([verdicts[idB], verdicts[idC]], [{ _tag: "late" }, { _tag: "lagging", by: 2 }])
    })
  )

  test(
    "closing answers who still waits, and whoever comes later, with what is known then",
    Effect.gen(function* () {
      const { ack, inFlight, watch } = yield* setUp
      const answers = watch(1, 2)
      inFlight.close()
      assert.deepStrictEqual([answers.length, inFlight.waiting(), inFlight.size()], [2, 0, 0])
      assert.deepInclude({ ...(yield* errorOf(answers)) }, { reason: "in_flight", got: 1 })
      ack(idB, 2)
      assert.strictEqual(answers.length, 2)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(watch(3, 3)[0]!)))
      // Whoever asks about a write that is held by as many as it needs gets its receipt.
      assert.deepStrictEqual(
        (yield* watch(2, 2)[0]!).acked.map(({ replica }) => replica),
        [idA, idB]
      )
    })
  )
})
