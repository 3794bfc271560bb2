import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { readFileSync } from "node:fs"
import * as AckTracker from "../src/quorum/AckTracker.ts"
import * as QuorumPolicy from "../src/quorum/QuorumPolicy.ts"
import * as ReplicaId from "../src/identity/ReplicaId.ts"
import * as NaiveTracker from "./support/NaiveTracker.ts"
import { idDriftCount, isQuorumMet, lateAckPeerIds } from "./support/trackers.ts"

const DEADLINE = 10
const TIMES = [0, DEADLINE, DEADLINE + 1, 25]
const self = ReplicaId.make("self")

const make = (
  n: number,
  w: number,
  peers: ReadonlyArray<string>,
  ackTimeout = DEADLINE,
  selfLagsBy = 0
): AckTracker.AckTracker => {
  const tracker = AckTracker.make({
    policy: Result.getOrThrow(QuorumPolicy.make({ n, w, ackTimeout })),
    self,
    peers: peers.map(ReplicaId.make),
    startedAt: 0
  })
  return selfLagsBy === 0 ? tracker : AckTracker.recordSelfLag(tracker, selfLagsBy, 0)
}

const record = (tracker: AckTracker.AckTracker, event: NaiveTracker.Event): AckTracker.AckTracker => {
  switch (event._tag) {
    case "local":
      return AckTracker.recordLocal(tracker, event.at)
    case "ack":
      return AckTracker.recordPeerAck(tracker, ReplicaId.make(event.peer), event.at)
    case "failure":
      return event.verdict._tag === "drifted"
        ? AckTracker.recordIdDrift(tracker, ReplicaId.make(event.peer), event.at)
        : AckTracker.recordFailure(tracker, ReplicaId.make(event.peer), event.verdict as AckTracker.Failure, event.at)
    case "seal":
      return AckTracker.seal(tracker, event.at)
  }
}

/** Everything that can be seen of a tracker. */
const see = (tracker: AckTracker.AckTracker) => ({
  at: TIMES.map((now) => {
    const outcome = AckTracker.decision(tracker, now)
    const end = AckTracker.finalise(tracker, now)
    const verdicts = AckTracker.verdicts(tracker, now)
    const got = Object.values(verdicts).filter((verdict) => verdict._tag === "acked").length
    if (tracker.localAt === undefined) {
      assert(Result.isFailure(end) && end.failure._tag === "LocalWriteFailed")
    } else if (outcome._tag === "Met") {
      assert.deepStrictEqual(end, Result.succeed(outcome.got))
    } else {
      assert(Result.isFailure(end) && end.failure._tag === "Unmet")
      assert.strictEqual(end.failure.reason, outcome._tag === "Failed" ? outcome.reason : "in_flight")
      assert.isBelow(end.failure.got, end.failure.needed)
      assert.deepStrictEqual(end.failure.verdicts, verdicts)
    }
    return {
      decision:
        outcome._tag === "Failed"
          ? { _tag: outcome._tag, got: outcome.got, reason: outcome.reason }
          : { _tag: outcome._tag, got: outcome._tag === "Met" ? outcome.got : Math.min(tracker.policy.n, got) },
      verdicts
    }
  }),
  acked: AckTracker.ackedPeerIds(tracker) as ReadonlyArray<string>,
  late: lateAckPeerIds(tracker) as ReadonlyArray<string>,
  idDriftCount: idDriftCount(tracker)
})

const seeTwin = (twin: NaiveTracker.NaiveTracker) => ({
  at: TIMES.map((now) => ({
    decision: NaiveTracker.decision(twin, now),
    verdicts: NaiveTracker.verdicts(twin, now)
  })),
  acked: NaiveTracker.acked(twin),
  late: NaiveTracker.late(twin),
  idDriftCount: NaiveTracker.idDriftCount(twin)
})

// -----------------------------------------------------------------------------
// random sequences of events
// -----------------------------------------------------------------------------

const Peer = Schema.Literals(["b", "c", "d", "e", "self", "stranger"])
const At = Schema.Literals([0, 3, DEADLINE, DEADLINE + 1, 20])
const Verdict = Schema.Union([
  Schema.Struct({ _tag: Schema.Literals(["rejected", "drifted", "refused", "timed_out", "not_tried"]) }),
  Schema.Struct({ _tag: Schema.Literal("lagging"), by: Schema.Literals([1, 2]) })
])
const Event = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("local"), at: At }),
  Schema.Struct({ _tag: Schema.Literal("ack"), peer: Peer, at: At }),
  Schema.Struct({ _tag: Schema.Literal("failure"), peer: Peer, verdict: Verdict, at: At }),
  Schema.Struct({ _tag: Schema.Literal("seal"), at: At })
])
const Run = Schema.Struct({
  n: Schema.Literals([1, 2, 3, 4, 5]),
  w: Schema.Literals([1, 2, 3, 4, 5]),
  fits: Schema.Boolean,
  selfLagsBy: Schema.Literals([0, 3]),
  peers: Schema.Array(Peer).check(Schema.isMaxLength(5)),
  events: Schema.Array(Event).check(Schema.isMaxLength(14))
})

/** Mostly a replica set that fits the policy, sometimes any list with self and repeats in it. */
const peersOf = (run: typeof Run.Type): ReadonlyArray<string> =>
  run.fits ? ["b", "c", "d", "e"].slice(0, run.n - 1) : run.peers

const play = (
  run: typeof Run.Type,
  onStep: (step: {
    readonly before: AckTracker.AckTracker
    readonly after: AckTracker.AckTracker
    readonly twin: NaiveTracker.NaiveTracker
  }) => void
) => {
  const peers = peersOf(run)
  let tracker = make(run.n, run.w, peers, DEADLINE, run.selfLagsBy)
  run.events.forEach((event, index) => {
    const after = record(tracker, event)
    const events = run.events.slice(0, index + 1)
    onStep({
      before: tracker,
      after,
      twin: { n: run.n, w: Math.min(run.w, run.n), self, peers, deadline: DEADLINE, selfLagsBy: run.selfLagsBy, events }
    })
    tracker = after
  })
}

const options = { arbitrary: { runs: 1000, size: 30 }, timeout: 60_000 }

describe("AckTracker beside its naive twin", () => {
  it.prop(
    "agrees with the twin after every event of random sequences",
    [Run],
    ([run]) => {
      play(run, ({ after, twin }) => assert.deepStrictEqual(see(after), seeTwin(twin) as ReturnType<typeof see>))
    },
    options
  )

  it.prop(
    "returns the same reference exactly when nothing that can be seen has changed",
    [Run],
    ([run]) => {
      play(run, ({ after, before }) => {
        const same = JSON.stringify(see(before)) === JSON.stringify(see(after))
        assert.strictEqual(after === before, same)
      })
    },
    options
  )

  it.prop(
    "once met stays met, a failure that is final keeps its reason, and got stays within n",
    [Run],
    ([run]) => {
      play(run, ({ after, before }) => {
        if (isQuorumMet(before, DEADLINE)) assert.isTrue(isQuorumMet(after, 25))
        if (before.failed !== undefined) assert.strictEqual(after.failed, before.failed)
        for (const { decision } of see(after).at) assert.isAtMost(decision.got, run.n)
      })
    },
    options
  )
})

// -----------------------------------------------------------------------------
// every assignment of answers to peers
// -----------------------------------------------------------------------------

const ANSWERS = ["ack", "late", "drift", "reject", "silent"] as const
type Answer = (typeof ANSWERS)[number]

const assignments = (peers: number): Array<Array<Answer>> =>
  peers === 0 ? [[]] : assignments(peers - 1).flatMap((rest) => ANSWERS.map((answer) => [...rest, answer]))

/** The rule at the deadline and after it, from the counts alone; acks come first, then rejections, then drifts. */
const rule = (n: number, w: number, answers: ReadonlyArray<Answer>): readonly [string, string] => {
  const of = (answer: Answer) => answers.filter((a) => a === answer).length
  const got = 1 + of("ack")
  const plain = of("ack") === 0 ? "unreachable" : "timeout"
  if (got >= w) return [`Met ${got}`, `Met ${got}`]
  if (n - of("drift") - of("reject") < w) {
    const failed = `Failed ${got} ${n - of("reject") >= w ? "id_drift" : plain}`
    return [failed, failed]
  }
  return ["Pending", `Failed ${got} ${got + of("drift") >= w ? "id_drift" : plain}`]
}

const show = (tracker: AckTracker.AckTracker, now: number): string => {
  const outcome = AckTracker.decision(tracker, now)
  if (outcome._tag === "Pending") return "Pending"
  return outcome._tag === "Met" ? `Met ${outcome.got}` : `Failed ${outcome.got} ${outcome.reason}`
}

describe("AckTracker, every case of one to five replicas", () => {
  const event: Record<Answer, (peer: string) => ReadonlyArray<NaiveTracker.Event>> = {
    ack: (peer) => [{ _tag: "ack", peer, at: 3 }],
    drift: (peer) => [{ _tag: "failure", peer, verdict: { _tag: "drifted" }, at: 5 }],
    reject: (peer) => [{ _tag: "failure", peer, verdict: { _tag: "rejected" }, at: 4 }],
    late: (peer) => [{ _tag: "ack", peer, at: DEADLINE + 1 }],
    silent: () => []
  }

  it("decides by the rule at the deadline and after it", () => {
    let cases = 0
    for (let n = 1; n <= 5; n++) {
      for (let w = 1; w <= n; w++) {
        for (const answers of assignments(n - 1)) {
          const peers = answers.map((_, index) => `peer-${index}`)
          const events = answers.flatMap((answer, index) => event[answer](`peer-${index}`)).sort((x, y) => x.at - y.at)
          const tracker = events.reduce(record, AckTracker.recordLocal(make(n, w, peers), 0))
          const name = `n=${n} w=${w} ${answers.join(",")}`
          assert.deepStrictEqual([show(tracker, DEADLINE), show(tracker, DEADLINE + 1)], rule(n, w, answers), name)
          see(tracker)
          cases++
        }
      }
    }
    assert.strictEqual(cases, 1 + 2 * 5 + 3 * 25 + 4 * 125 + 5 * 625)
  })
})

// -----------------------------------------------------------------------------
// golden interleavings
// -----------------------------------------------------------------------------

/** Plays one line of testdata/AckTracker.txt, or answers a question with what follows it in the file. */
const playLine = (
  tracker: AckTracker.AckTracker,
  line: string
): { readonly tracker: AckTracker.AckTracker; readonly answer?: string } => {
  const [, verb, who = "", , by = "", when = ""] = /^(\w+)(?: ([\w-]+)( by (\d+))?)? @(\d+)$/.exec(line) ?? []
  const at = Number(when)
  switch (verb) {
    case "local":
      return { tracker: record(tracker, { _tag: "local", at }) }
    case "ack":
      return { tracker: record(tracker, { _tag: "ack", peer: who, at }) }
    case "seal":
      return { tracker: record(tracker, { _tag: "seal", at }) }
    case "decide": {
      const said = Object.entries(AckTracker.verdicts(tracker, at)).map(([id, verdict]) => `${id}:${verdict._tag}`)
      return { tracker, answer: `  ${show(tracker, at)} (${said.join(" ")})` }
    }
    case "lagging":
      return { tracker: record(tracker, { _tag: "failure", peer: who, verdict: { _tag: verb, by: Number(by) }, at }) }
    case "rejected":
    case "drifted":
    case "refused":
    case "timed_out":
    case "not_tried":
      return { tracker: record(tracker, { _tag: "failure", peer: who, verdict: { _tag: verb }, at }) }
    default:
      throw new Error(`cannot read: ${line}`)
  }
}

describe("AckTracker, golden interleavings", () => {
  it("tells the stories in testdata/AckTracker.txt", () => {
    const golden = readFileSync(new URL("./testdata/AckTracker.txt", import.meta.url), "utf8")
    let tracker: AckTracker.AckTracker | undefined
    const out: Array<string> = []
    for (const line of golden.split("\n")) {
      if (line.startsWith("  ")) continue
      out.push(line)
      const header = /^n=(\d) w=(\d) timeout=(\d+) peers=([\w,]*)$/.exec(line)
      if (header !== null) {
        const [, n, w, timeout, peers = ""] = header
        tracker = make(
          Number(n),
          Number(w),
          peers.split(",").filter((id) => id !== ""),
          Number(timeout)
        )
      } else if (line !== "" && !line.startsWith("#")) {
        assert(tracker !== undefined)
        const step = playLine(tracker, line)
        tracker = step.tracker
        if (step.answer !== undefined) out.push(step.answer)
      }
    }
    assert.strictEqual(out.join("\n"), golden)
  })
})
