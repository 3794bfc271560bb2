import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { QuorumPolicy, type Receipt, ReplicaId, WriteId } from "@quorum/core"
import { RunId } from "@quorum/core/adapter"
import { Effect, FileSystem, Result, Schema } from "effect"
import * as Report from "../src/Report.ts"
import * as StoryText from "../src/StoryText.ts"

const receipt: Receipt.Receipt = {
  writeId: WriteId.WriteId.make("b@0000000000000001:9.5ad3c01e"),
  clock: { wallTime: 1, logical: 0 },
  tie: RunId.RunId.make("0000000000000001"),
  policy: Result.getOrThrow(QuorumPolicy.all(3)),
  acked: [
    { replica: ReplicaId.make("b"), afterMillis: 0, how: "self" },
    { replica: ReplicaId.make("a"), afterMillis: 1.2, how: "push" },
    { replica: ReplicaId.make("c"), afterMillis: 46.4, how: "vector" }
  ],
  missing: {},
  durationMillis: 50
}

const held: Report.Report = {
  ok: true,
  problems: [],
  input: "cities.jsonl",
  replicas: [
    { id: "a", url: "http://127.0.0.1:1", folder: "/a", rssMb: 100.5 },
    { id: "b", url: "http://127.0.0.1:2", folder: "/b", rssMb: null },
    { id: "c", url: "http://127.0.0.1:3", folder: "/c", rssMb: 99 }
  ],
  n: 3,
  w: 2,
  lines: 1001,
  accepted: 1000,
  rejected: [{ line: 7, reason: "value missing" }],
  committed: 1000,
  failed: [],
  notMet: 1,
  killed: ["a", "c"],
  kills: [
    { id: "a", pid: 10, afterWrites: 500, inFlight: 64, inFlightHere: 22 },
    { id: "c", pid: 12, afterWrites: 1000, inFlight: 0, inFlightHere: 0 }
  ],
  inFlightAtKill: 64,
  metrics: {
    replica: "b",
    committed: { metrics: 340, demo: 340 },
    notMet: { metrics: 1, demo: 1 },
    unknown: 0,
    repeated: 0,
    peers: {
      a: { losses: 1, connects: 2, maxLag: 300, maxLagSeconds: 4.25, lag: 0 },
      c: { losses: 2, connects: 2, maxLag: 20, maxLagSeconds: 2, lag: 0 }
    }
  },
  outcomeUnknown: 20,
  sentAgain: 22,
  shortage: { replica: "b", answer: "NotMet", detail: "quorum not met", afterMs: 2003 },
  ownWrites: { replica: "b", writeId: "b@0000000000000001:8.5ad3c01e", afterMs: { a: 1.25, c: 0.5 } },
  quorumNotMet: {
    writeId: "b@0000000000000001:9.5ad3c01e",
    replica: "b",
    stopped: "c",
    askedAt: "2026-11-25T16:32:50.500Z",
    reason: "timeout",
    got: 2,
    needed: 3,
    afterMs: 2003,
    verdicts: { a: "acked", b: "acked", c: "lagging" },
    resumedAfterMs: 2010,
    committedAfterMs: 2061,
    receipt
  },
  apart: {
    stopped: "c",
    writer: "b",
    stoppedAt: "2026-11-25T16:32:48.123Z",
    records: 1000,
    held: { c: 1003, b: 2003 },
    lag: 1000,
    wentOnAfterMs: 312,
    sameAfterMs: 398
  },
  renewal: null,
  wrongClock: {
    replica: "c",
    shiftMs: -3_600_000,
    heldMs: -3_540_000,
    first: {
      replica: "b",
      writeId: "b@0000000000000001:10.5ad3c01e",
      localTime: "2026-11-25T16:32:52.959Z",
      clock: { wallTime: Date.UTC(2026, 10, 25, 16, 32, 52, 959), logical: 0 },
      acked: receipt.acked
    },
    second: {
      replica: "c",
      writeId: "c@0000000000000001:10.5ad3c01e",
      localTime: "2026-11-25T15:32:52.960Z",
      clock: { wallTime: Date.UTC(2026, 10, 25, 16, 32, 52, 959), logical: 1 },
      acked: receipt.acked
    },
    shown: { a: "second", b: "second", c: "second" }
  },
  caughtUpMs: 1500,
  converged: true,
  digests: { a: "00", b: "00", c: "00" },
  records: { a: 1001, b: 1001, c: 1001 },
  importMs: 1000,
  compareMs: 700,
  writesPerSecond: 1000,
  totalMs: 9000
}

const seen = held.metrics!

describe("the report", () => {
  it.effect("is written as JSON that its schema reads back", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* fs.makeTempFileScoped()
      yield* Report.write(path, held)
      const json = JSON.parse(yield* fs.readFileString(path))
      assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(Report.Report)(json), held)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it("finds no problem when everything held", () => {
    assert.deepStrictEqual(Report.problemsOf(held), [])
    const completed = { ...seen, repeated: 2, committed: { metrics: 338, demo: 340 } }
    assert.deepStrictEqual(Report.problemsOf({ ...held, metrics: completed }), [])
  })

  const broken: ReadonlyArray<readonly [name: string, change: Partial<Report.Report>, problem: RegExp]> = [
    ["nothing was imported", { accepted: 0, committed: 0 }, /nothing to import/],
    ["nobody was killed", { killed: [] }, /no replica was killed/],
    ["no metrics could be read", { metrics: null }, /the metrics of the replica that was never killed cannot be read/],
    [
      "the metrics count fewer commits",
      { metrics: { ...seen, committed: { metrics: 339, demo: 340 } } },
      /the metrics of b count 339 commits, and the demo 340/
    ],
    [
      "the metrics count fewer commits than those that were completed from elsewhere explain",
      { metrics: { ...seen, repeated: 2, committed: { metrics: 337, demo: 340 } } },
      /the metrics of b count 337 commits, and the demo 340/
    ],
    [
      "the metrics count more than can be explained",
      { metrics: { ...seen, unknown: 1, notMet: { metrics: 3, demo: 1 } } },
      /the metrics of b count 3 writes without a quorum, and the demo 1/
    ],
    [
      "the metrics did not see a kill",
      { metrics: { ...seen, peers: { ...seen.peers, a: { ...seen.peers["a"]!, losses: 0 } } } },
      /did not see that a was killed/
    ],
    [
      "the metrics see a replica behind",
      { metrics: { ...seen, peers: { ...seen.peers, c: { ...seen.peers["c"]!, lag: 7 } } } },
      /c still misses 7 entries/
    ],
    ["the kill met no write in flight", { inFlightAtKill: 0 }, /no write was in flight/],
    ["a write is missing", { committed: 999 }, /1 of 1000 writes were not committed$/],
    [
      "a write failed",
      { committed: 999, failed: [{ line: 12, reason: "no answer" }] },
      /not committed, the first on line 12: no answer/
    ],
    ["nothing was written while a replica stood still", { apart: null }, /no records were written while a replica/],
    ["a replica that stood still lacks nothing", { apart: { ...held.apart!, lag: 999 } }, /said to lack 999 entries/],
    [
      "a replica that stood still stays behind",
      { apart: { ...held.apart!, sameAfterMs: null } },
      /c stood still, and holds other logs than the others since/
    ],
    ["the write that asks for all was answered otherwise", { quorumNotMet: null }, /not answered with quorum_not_met/],
    [
      "the write that missed its quorum never got a receipt",
      { quorumNotMet: { ...held.quorumNotMet!, receipt: null } },
      /no receipt in the end/
    ],
    ["the writes by a wrong clock were not committed", { wrongClock: null }, /by a wrong clock were not committed/],
    ["a replica holds something else", { digests: { a: "00", b: "00", c: "01" } }, /hold different records/],
    ["it did not converge", { converged: false }, /not every acknowledged write is on every replica/]
  ]
  for (const [name, change, problem] of broken) {
    it(`says plainly that ${name}`, () => {
      const problems = Report.problemsOf({ ...held, ...change })
      assert.strictEqual(problems.length, 1)
      assert.match(problems[0]!, problem)
    })
  }

  it("reads well", () => {
    const text = [...Report.summary(held), ...Report.verdict(held)].join("\n")
    assert.include(text, "written at b, and read back by the id of the write at a after 1.3 ms, c after 0.5 ms")
    assert.match(text, /1,001, of which 1 rejected/)
    assert.match(text, /line 7: value missing/)
    assert.match(text, /1,000 of 1,000 on 2 of 3 replicas, in 1\.0 s \(1,000 writes\/s\)/)
    assert.match(text, /a, c; 64 writes in flight/)
    assert.match(text, /a 100\.5 MB, b \? MB, c 99 MB/)
    assert.match(text, /All 1,000 acknowledged writes are on all 3 replicas, byte for byte\.$/)
  })

  it("tells how a replica that stood still differs, and for how long, in narrow lines", () => {
    assert.deepStrictEqual(StoryText.apart(held.apart!), [
      "  Two replicas that differ:",
      "    16:32:48  c stands still; 1,000 records are written at b",
      "    +0.3 s    entries held: c 1,003, b 2,003; c lacks 1,000, says b",
      "              c goes on",
      "    +0.4 s    all hold the same logs, chain for chain"
    ])
    assert.strictEqual(
      StoryText.apart({ ...held.apart!, sameAfterMs: null }).at(-1),
      "              it still lacks entries"
    )
    for (const line of StoryText.apart(held.apart!)) assert.isAtMost(line.length, 80)
  })

  it("tells the write that missed its quorum from the failure to the receipt, in narrow lines", () => {
    assert.deepStrictEqual(StoryText.missedQuorum(held.quorumNotMet!), [
      "  A write that missed its quorum:",
      "    16:32:50  asked at b for 3 replicas; c stands still",
      "    +2.0 s    quorum_not_met: 2 of 3, reason timeout",
      "              verdicts: a acked, b acked, c lagging",
      "              it is durable and may spread, so it is never written again",
      "    +2.0 s    c goes on; resume of the same write,",
      "              b@0000000000000001:9.5ad3c01e",
      "    +2.1 s    receipt, 3 of 3:",
      "              b after 0 ms (self)",
      "              a after 1 ms (push)",
      "              c after 46 ms (vector)"
    ])
    const without = StoryText.missedQuorum({ ...held.quorumNotMet!, receipt: null, committedAfterMs: null })
    assert.strictEqual(without.at(-1), "              it got no receipt")
    for (const line of Report.summary(held)) assert.isAtMost(line.length, 120)
    for (const line of StoryText.missedQuorum(held.quorumNotMet!)) assert.isAtMost(line.length, 80)
  })

  it("LaterWins: tells what a wrong clock does, and says so when the write that was first stays", () => {
    assert.deepStrictEqual(StoryText.wrongClock(held.wrongClock!), [
      "  A clock that is wrong: c's is 1 h behind and not followed,",
      "  and one key is written twice, one after the other:",
      "    value   at   its clock version",
      "    first   b    16:32:52  16:32:52.959+0",
      "    second  c    15:32:52  16:32:52.959+1",
      '    by the clocks alone "first" would stay; all replicas hold',
      '    "second", which was acknowledged last'
    ])
    const lost = StoryText.wrongClock({ ...held.wrongClock!, shown: { a: "first", b: "first", c: "first" } })
    assert.strictEqual(lost.at(-1), '    "first"')
    const torn = StoryText.wrongClock({ ...held.wrongClock!, shown: { a: "first", b: "second", c: "second" } })
    assert.strictEqual(torn.at(-1), '    a "first", b "second", c "second"')
  })

  it("says what the last replica alone answered", () => {
    const shortage = { replica: "b", answer: "Unavailable", detail: "", afterMs: 2000 } as const
    assert.match(Report.summary(held).join("\n"), /alone +b answered after 2\.0 s: quorum not met; committed after/)
    assert.match(
      Report.summary({ ...held, shortage }).join("\n"),
      /alone +b answered after 2\.0 s: nothing was written/
    )
  })

  it("shows the first rejected lines, and how many more there are", () => {
    const rejected = Array.from({ length: 25 }, (_, i) => ({ line: i + 1, reason: "bad" }))
    const text = Report.summary({ ...held, rejected }).join("\n")
    assert.match(text, /line 10: bad\n +and 15 more/)
    assert.notMatch(text, /line 11/)
  })

  it("says what did not hold", () => {
    const failed = { ...held, ok: false, problems: ["one", "two"], caughtUpMs: null }
    const text = [...Report.summary(failed), ...Report.verdict(failed)].join("\n")
    assert.match(text, /caught up +no/)
    assert.match(text, /It did not hold:\n {2}- one\n {2}- two$/)
  })
})
