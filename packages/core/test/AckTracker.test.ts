import { assert, describe, it } from "@effect/vitest"
import { pipe, Result, Schema } from "effect"
import * as AckTracker from "../src/quorum/AckTracker.ts"
import * as QuorumError from "../src/quorum/QuorumError.ts"
import * as QuorumPolicy from "../src/quorum/QuorumPolicy.ts"
import * as WriteId from "../src/identity/WriteId.ts"
import * as ReplicaId from "../src/identity/ReplicaId.ts"
import { idDriftCount, isQuorumMet, lateAckPeerIds } from "./support/trackers.ts"

// The deadline of every tracker here: an ack at 1100 is in time, one at 1101 is late.
const T0 = 1000
const DEADLINE = 1100
const LATER = 1150

const self = ReplicaId.make("a")
const b = ReplicaId.make("b")
const c = ReplicaId.make("c")
const d = ReplicaId.make("d")
const e = ReplicaId.make("e")

/** A tracker of `w` of `n` with peers b, c, …, and nothing recorded. */
const bare = (n: number, w: number): AckTracker.AckTracker =>
  AckTracker.make({
    policy: Result.getOrThrow(QuorumPolicy.make({ n, w, ackTimeout: DEADLINE - T0 })),
    self,
    peers: [b, c, d, e].slice(0, n - 1),
    startedAt: T0
  })

/** The same with the local commit. */
const started = (n: number, w: number): AckTracker.AckTracker => AckTracker.recordLocal(bare(n, w), T0)

const failureOf = (tracker: AckTracker.AckTracker, now: number): AckTracker.Unmet => {
  const error = Result.getOrThrow(Result.flip(AckTracker.finalise(tracker, now)))
  assert(error._tag === "Unmet")
  return error
}

const refused: AckTracker.Failure = { _tag: "refused", detail: "ECONNREFUSED" }
const rejected: AckTracker.Failure = { _tag: "rejected", detail: "too large" }

describe("AckTracker, the basics", () => {
  it("quorum met with local plus peers", () => {
    assert.isTrue(isQuorumMet(AckTracker.recordPeerAck(started(3, 2), b, T0), T0))
  })

  it("quorum dedupes duplicate peer", () => {
    let tracker = started(5, 3)
    for (let i = 0; i < 3; i++) tracker = AckTracker.recordPeerAck(tracker, b, T0)
    assert.isFalse(isQuorumMet(tracker, T0))
    tracker = AckTracker.recordPeerAck(tracker, c, T0)
    assert.isTrue(isQuorumMet(tracker, T0))
  })

  it("quorum not met without local", () => {
    const tracker = pipe(bare(3, 2), AckTracker.recordPeerAck(b, T0), AckTracker.recordPeerAck(c, T0))
    assert.isFalse(isQuorumMet(tracker, T0))
    assert.strictEqual(AckTracker.decision(tracker, T0)._tag, "Pending")
    assert.isTrue(isQuorumMet(AckTracker.recordLocal(tracker, T0), T0))
  })

  it("quorum expired after deadline", () => {
    const tracker = started(3, 2)
    assert.isFalse(isQuorumMet(tracker, LATER))
    const { got, needed, reason } = failureOf(tracker, LATER)
    assert.deepStrictEqual([got, needed, reason], [1, 2, "unreachable"])
  })

  it("quorum finalise reports timeout when partial acks", () => {
    const tracker = AckTracker.recordPeerAck(started(5, 3), b, T0)
    assert.strictEqual(failureOf(tracker, LATER).reason, "timeout")
  })

  it("id drift counted but does not satisfy quorum", () => {
    const tracker = pipe(started(3, 2), AckTracker.recordIdDrift(b, T0), AckTracker.recordIdDrift(c, T0))
    assert.strictEqual(idDriftCount(tracker), 2)
    assert.isFalse(isQuorumMet(tracker, T0))
  })

  it("finalise without local commit errors local write failed", () => {
    const error = Result.getOrThrow(Result.flip(AckTracker.finalise(bare(3, 2), T0)))
    assert.instanceOf(error, QuorumError.LocalWriteFailed)
    assert.strictEqual(error.detail, "local commit not recorded before finalise")
  })

  it("single node quorum is trivially met", () => {
    assert.isTrue(isQuorumMet(started(1, 1), T0))
    assert.strictEqual(Result.getOrThrow(AckTracker.finalise(started(1, 1), T0)), 1)
  })

  it("finalise pre deadline partial acks is inflight", () => {
    const error = failureOf(AckTracker.recordPeerAck(started(5, 3), b, T0), T0)
    assert.deepStrictEqual([error.reason, error.got, error.needed], ["in_flight", 2, 3])
  })

  it("finalise succeeds returns count", () => {
    assert.strictEqual(Result.getOrThrow(AckTracker.finalise(AckTracker.recordPeerAck(started(3, 2), b, T0), T0)), 2)
  })

  it("id drift count zero initially", () => {
    assert.strictEqual(idDriftCount(bare(3, 2)), 0)
  })
})

describe("AckTracker", () => {
  it("counts an ack at exactly the deadline and none after it", () => {
    assert.isTrue(isQuorumMet(AckTracker.recordPeerAck(started(3, 2), b, DEADLINE), LATER))
    assert.isFalse(isQuorumMet(AckTracker.recordPeerAck(started(3, 2), b, DEADLINE + 1), LATER))
    assert.isFalse(isQuorumMet(AckTracker.recordPeerAck(started(3, 2), b, Number.NaN), LATER))
    assert.strictEqual(AckTracker.decision(started(3, 2), DEADLINE)._tag, "Pending")
    assert.strictEqual(AckTracker.decision(started(3, 2), DEADLINE + 1)._tag, "Failed")
  })

  it("counts an ack that arrived in time whenever it is processed, even behind a late one of the same peer", () => {
    const late = AckTracker.recordPeerAck(started(3, 2), b, LATER)
    assert.deepStrictEqual([AckTracker.ackedPeerIds(late), lateAckPeerIds(late)], [[], [b]])
    const both = AckTracker.recordPeerAck(late, b, DEADLINE)
    assert.deepStrictEqual([AckTracker.ackedPeerIds(both), lateAckPeerIds(both)], [[b], []])
    assert.isTrue(isQuorumMet(both, LATER))
  })

  it("once met stays met, and goes on recording acks in time and late", () => {
    const met = AckTracker.recordPeerAck(started(4, 2), b, T0)
    const after = pipe(
      met,
      AckTracker.recordFailure(b, rejected, T0 + 1),
      AckTracker.recordIdDrift(b, T0 + 1),
      AckTracker.recordPeerAck(c, DEADLINE),
      AckTracker.recordPeerAck(d, LATER),
      AckTracker.seal(LATER)
    )
    assert.deepStrictEqual(AckTracker.decision(met, LATER), { _tag: "Met", got: 2 })
    assert.deepStrictEqual(AckTracker.decision(after, LATER), { _tag: "Met", got: 3 })
    assert.deepStrictEqual(AckTracker.ackedPeerIds(after), [b, c])
    assert.deepStrictEqual(lateAckPeerIds(after), [d])
    assert.strictEqual(idDriftCount(after), 0)
  })

  it("once failed by time and sealed stays failed, whatever is processed later and whenever it is asked", () => {
    const unsealed = started(3, 2)
    const sealed = AckTracker.seal(unsealed, LATER)
    assert.strictEqual(AckTracker.seal(sealed, LATER + 1), sealed)
    const after = AckTracker.recordPeerAck(sealed, b, DEADLINE)
    for (const now of [T0, DEADLINE, LATER]) {
      const outcome = AckTracker.decision(after, now)
      assert(outcome._tag === "Failed")
      assert.deepStrictEqual([outcome.got, outcome.reason], [1, "unreachable"])
    }
    assert.deepStrictEqual(lateAckPeerIds(after), [b])
    // The same ack decides the tracker that nobody sealed.
    assert.isTrue(isQuorumMet(AckTracker.recordPeerAck(unsealed, b, DEADLINE), LATER))
  })

  it("seals nothing that is not a failure", () => {
    const pending = started(3, 2)
    assert.strictEqual(AckTracker.seal(pending, DEADLINE), pending)
    const met = AckTracker.recordPeerAck(pending, b, T0)
    assert.strictEqual(AckTracker.seal(met, LATER), met)
  })

  it("takes an ack after a failure that was not definitive, and none after one that was", () => {
    const soft: ReadonlyArray<AckTracker.Failure> = [
      refused,
      { _tag: "timed_out" },
      { _tag: "lagging", by: 4 },
      { _tag: "not_tried" }
    ]
    for (const verdict of soft) {
      const tracker = AckTracker.recordFailure(started(3, 2), b, verdict, T0)
      assert.deepStrictEqual(AckTracker.verdicts(tracker, LATER)[b], verdict)
      assert.isTrue(isQuorumMet(AckTracker.recordPeerAck(tracker, b, T0 + 1), T0 + 1))
    }
    const hard: ReadonlyArray<AckTracker.Failure> = [rejected, { _tag: "drifted" }]
    for (const verdict of hard) {
      const tracker = AckTracker.recordFailure(started(3, 2), b, verdict, T0)
      assert.strictEqual(AckTracker.recordPeerAck(tracker, b, T0 + 1), tracker)
      assert.strictEqual(AckTracker.recordFailure(tracker, b, refused, T0 + 1), tracker)
    }
  })

  it("returns the same reference when nothing changed", () => {
    const tracker = pipe(
      started(5, 4),
      AckTracker.recordPeerAck(b, T0),
      AckTracker.recordIdDrift(c, T0),
      AckTracker.recordFailure(d, { _tag: "lagging", by: 2 }, T0),
      AckTracker.recordPeerAck(e, LATER)
    )
    const stranger = ReplicaId.make("stranger")
    const unchanged = [
      AckTracker.recordLocal(tracker, T0 + 1),
      AckTracker.recordPeerAck(tracker, b, T0 + 1),
      AckTracker.recordPeerAck(tracker, e, LATER + 1),
      AckTracker.recordIdDrift(tracker, c, T0 + 1),
      AckTracker.recordFailure(tracker, d, { _tag: "lagging", by: 2 }, T0 + 1),
      AckTracker.recordFailure(tracker, b, rejected, T0 + 1),
      AckTracker.recordFailure(tracker, e, refused, LATER + 1),
      AckTracker.seal(tracker, T0)
    ]
    for (const id of [self, stranger]) {
      unchanged.push(
        AckTracker.recordPeerAck(tracker, id, T0),
        AckTracker.recordIdDrift(tracker, id, T0),
        AckTracker.recordFailure(tracker, id, rejected, T0)
      )
    }
    unchanged.forEach((next, index) => assert.strictEqual(next, tracker, `event ${index}`))
    assert.notStrictEqual(AckTracker.recordFailure(tracker, d, { _tag: "lagging", by: 1 }, T0 + 1), tracker)
  })

  it("drops self and repeats among the peers, and has failed from the start with too few of them", () => {
    const policy = Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 3 }))
    const tracker = AckTracker.recordLocal(AckTracker.make({ policy, self, peers: [self, b, b], startedAt: T0 }), T0)
    assert.deepStrictEqual(
      tracker.peers.map((peer) => peer.id),
      [b]
    )
    assert.deepStrictEqual([failureOf(tracker, T0).reason, failureOf(tracker, T0).got], ["unreachable", 1])
  })

  it("does not judge the time of the local commit, and keeps a failure that was sealed without it", () => {
    assert.isTrue(isQuorumMet(AckTracker.recordLocal(bare(3, 1), LATER), LATER))
    assert.strictEqual(AckTracker.decision(bare(3, 1), DEADLINE)._tag, "Pending")
    assert.strictEqual(AckTracker.decision(bare(3, 1), LATER)._tag, "Failed")
    const sealed = AckTracker.seal(bare(3, 1), LATER)
    assert.strictEqual(AckTracker.recordLocal(sealed, LATER), sealed)
  })

  it("gives a verdict per replica, and tells the silent from the untried", () => {
    const tracker = pipe(
      started(5, 4),
      AckTracker.recordPeerAck(b, T0),
      AckTracker.recordFailure(c, { _tag: "not_tried" }, T0)
    )
    const before = AckTracker.verdicts(tracker, DEADLINE)
    assert.deepStrictEqual(
      Object.values(before).map((v) => v._tag),
      ["acked", "acked", "not_tried", "not_tried", "not_tried"]
    )
    const after = failureOf(tracker, LATER).verdicts
    assert.deepStrictEqual(Object.keys(after), ["a", "b", "c", "d", "e"])
    assert.deepStrictEqual(
      Object.values(after).map((v) => v._tag),
      ["acked", "acked", "not_tried", "timed_out", "timed_out"]
    )
    assert.strictEqual(AckTracker.verdicts(bare(3, 2), T0)[self]?._tag, "not_tried")
  })

  it("what it fails with is what an error says beside the id of a write, and survives JSON", () => {
    const { got, needed, reason, verdicts } = failureOf(AckTracker.recordFailure(started(3, 2), b, refused, T0), LATER)
    const named = new QuorumError.QuorumNotMet({
      got,
      needed,
      reason,
      verdicts,
      writeId: WriteId.WriteId.make("a@00000000000000aa:42.5ad3c01e")
    })
    const back = Schema.decodeUnknownSync(QuorumError.QuorumNotMet)(
      JSON.parse(JSON.stringify(Schema.encodeSync(QuorumError.QuorumNotMet)(named)))
    )
    assert.deepStrictEqual(back.verdicts, verdicts)
    assert.deepStrictEqual(
      [back.writeId, back.message],
      ["a@00000000000000aa:42.5ad3c01e", "quorum not met (got 1, need 2, reason unreachable)"]
    )
  })
})

describe("AckTracker, laws", () => {
  it("L2 finalising and asking whether it is met agree about acks after the deadline", () => {
    const tracker = pipe(started(3, 2), AckTracker.recordPeerAck(b, LATER), AckTracker.recordPeerAck(c, LATER))
    assert.isFalse(isQuorumMet(tracker, LATER))
    assert.deepStrictEqual([failureOf(tracker, LATER).reason, failureOf(tracker, LATER).got], ["unreachable", 1])
    assert.deepStrictEqual(lateAckPeerIds(tracker), [b, c])
  })

  it("L3 drift that made the difference is the reason, and drift that did not is not", () => {
    const one = AckTracker.recordIdDrift(started(3, 2), b, T0)
    assert.strictEqual(failureOf(one, DEADLINE).reason, "in_flight")
    assert.strictEqual(failureOf(one, LATER).reason, "id_drift")
    assert.strictEqual(failureOf(AckTracker.recordIdDrift(started(5, 3), b, T0), LATER).reason, "unreachable")
    assert.strictEqual(failureOf(AckTracker.recordIdDrift(started(3, 2), b, LATER), LATER).reason, "unreachable")
    assert.isTrue(isQuorumMet(AckTracker.recordPeerAck(one, c, T0), T0))
  })

  it("L3 drift is the reason whether it is processed before the other answers or after them", () => {
    const first = pipe(started(3, 3), AckTracker.recordIdDrift(b, T0), AckTracker.recordPeerAck(c, T0))
    const last = pipe(started(3, 3), AckTracker.recordPeerAck(c, T0), AckTracker.recordIdDrift(b, T0))
    assert.deepStrictEqual([failureOf(first, T0).reason, failureOf(last, T0).reason], ["id_drift", "id_drift"])
  })

  it("L5 strangers, self and repeats never count, and got never exceeds n", () => {
    let tracker = AckTracker.recordLocal(
      AckTracker.make({
        policy: Result.getOrThrow(QuorumPolicy.make({ n: 2, w: 2 })),
        self,
        peers: [b, c, d],
        startedAt: T0
      }),
      T0
    )
    for (const id of [self, ReplicaId.make("x"), ReplicaId.make("y")])
      tracker = AckTracker.recordPeerAck(tracker, id, T0)
    assert.isFalse(isQuorumMet(tracker, T0))
    assert.strictEqual(failureOf(tracker, T0).got, 1)
    for (const id of [b, c, d, b]) tracker = AckTracker.recordPeerAck(tracker, id, T0)
    assert.strictEqual(Result.getOrThrow(AckTracker.finalise(tracker, T0)), 2)
  })

  it("L7 w of one is met by the local commit alone", () => {
    for (let n = 1; n <= 5; n++) {
      assert.deepStrictEqual(AckTracker.decision(started(n, 1), T0), { _tag: "Met", got: 1 })
    }
  })

  it("L8 a write that can no longer succeed fails at once, and stays failed with the same words", () => {
    const one = AckTracker.recordFailure(started(3, 2), b, rejected, T0)
    assert.strictEqual(AckTracker.decision(one, T0)._tag, "Pending")
    const two = AckTracker.recordFailure(one, c, rejected, T0 + 1)
    const error = failureOf(two, T0 + 1)
    assert.deepStrictEqual([error.reason, error.got], ["unreachable", 1])
    // d acks after the failure was final.
    const third = pipe(
      started(4, 3),
      AckTracker.recordFailure(b, rejected, T0),
      AckTracker.recordFailure(c, rejected, T0),
      AckTracker.recordPeerAck(d, T0 + 1)
    )
    for (const now of [T0, LATER]) {
      assert.deepStrictEqual([failureOf(third, now).reason, failureOf(third, now).got], ["unreachable", 1])
    }
    assert.deepStrictEqual(lateAckPeerIds(third), [d])
    // A refused connection may come back, so it decides nothing before the deadline.
    const soft = pipe(started(3, 2), AckTracker.recordFailure(b, refused, T0), AckTracker.recordFailure(c, refused, T0))
    assert.strictEqual(AckTracker.decision(soft, DEADLINE)._tag, "Pending")
  })

  it("L9 refused and hung peers are told apart by their verdicts, and the reason says whether anyone acked", () => {
    const tracker = AckTracker.recordFailure(started(3, 2), b, refused, T0)
    const error = failureOf(tracker, LATER)
    assert.strictEqual(error.reason, "unreachable")
    assert.deepStrictEqual([error.verdicts[b], error.verdicts[c]], [refused, { _tag: "timed_out" }])
    const some = pipe(started(4, 3), AckTracker.recordFailure(b, refused, T0), AckTracker.recordPeerAck(c, T0))
    assert.strictEqual(failureOf(some, LATER).reason, "timeout")
  })

  it("L3 a drift at the deadline is a reason, and one a millisecond later is not", () => {
    for (const [at, reason] of [
      [DEADLINE, "id_drift"],
      [DEADLINE + 1, "unreachable"]
    ] as const) {
      assert.strictEqual(failureOf(AckTracker.recordIdDrift(started(3, 2), b, at), LATER).reason, reason)
      // Two drifts end the hope of 4 of 5; whether the others may still ack decides what the drifts have cost.
      const two = pipe(started(5, 4), AckTracker.recordIdDrift(b, T0), AckTracker.recordIdDrift(c, at))
      assert.strictEqual(failureOf(two, LATER).reason, reason)
    }
  })

  it("L9 a silent peer that is connected makes a timeout, and one that refused since does not", () => {
    const lagging = AckTracker.recordFailure(started(3, 2), b, { _tag: "lagging", by: 1 }, T0)
    assert.strictEqual(failureOf(lagging, LATER).reason, "timeout")
    assert.strictEqual(failureOf(AckTracker.recordFailure(lagging, b, refused, T0), LATER).reason, "unreachable")
    const hung = AckTracker.recordFailure(lagging, b, { _tag: "timed_out" }, T0)
    assert.strictEqual(failureOf(hung, LATER).reason, "timeout")
  })

  it("L9 a peer whose connection timed out hangs, although another refuses, and refuses once it did so since", () => {
    const silent = AckTracker.recordFailure(started(3, 2), b, { _tag: "timed_out" }, T0)
    const one = AckTracker.recordFailure(silent, c, refused, T0)
    assert.strictEqual(failureOf(one, LATER).reason, "timeout")
    assert.strictEqual(failureOf(AckTracker.recordFailure(one, b, refused, T0), LATER).reason, "unreachable")
  })

  it("L10 a missing local commit is not a quorum that was not met, at any time", () => {
    const acked = pipe(bare(3, 2), AckTracker.recordPeerAck(b, T0), AckTracker.recordPeerAck(c, T0))
    for (const now of [T0, LATER]) {
      const error = Result.getOrThrow(Result.flip(AckTracker.finalise(acked, now)))
      assert.instanceOf(error, QuorumError.LocalWriteFailed)
    }
  })
})
