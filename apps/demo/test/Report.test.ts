import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Schema } from "effect"
import * as Report from "../src/Report.ts"

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
    peers: {
      a: { losses: 1, connects: 2, maxLag: 300, maxLagSeconds: 4.25, lag: 0 },
      c: { losses: 2, connects: 2, maxLag: 20, maxLagSeconds: 2, lag: 0 }
    }
  },
  outcomeUnknown: 20,
  sentAgain: 22,
  quorumNotMet: {
    writeId: "b@0000000000000001:9.5ad3c01e",
    replica: "b",
    reason: "unreachable",
    got: 1,
    needed: 2,
    afterMs: 2003,
    verdicts: { a: "refused", b: "acked", c: "refused" },
    committedLater: true
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
    ["the write without a quorum was answered otherwise", { quorumNotMet: null }, /not answered with quorum_not_met/],
    [
      "the write without a quorum never resolved",
      { quorumNotMet: { ...held.quorumNotMet!, committedLater: false } },
      /not committed later/
    ],
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
    const text = Report.summary(held).join("\n")
    assert.match(text, /1,001, of which 1 rejected/)
    assert.match(text, /line 7: value missing/)
    assert.match(text, /1,000 of 1,000 on 2 of 3 replicas, in 1\.0 s \(1,000 writes\/s\)/)
    assert.match(text, /a, c; 64 writes in flight/)
    assert.match(text, /a 100\.5 MB, b \? MB, c 99 MB/)
    assert.match(text, /All 1,000 acknowledged writes are on all 3 replicas, byte for byte\.$/)
  })

  it("shows the first rejected lines, and how many more there are", () => {
    const rejected = Array.from({ length: 25 }, (_, i) => ({ line: i + 1, reason: "bad" }))
    const text = Report.summary({ ...held, rejected }).join("\n")
    assert.match(text, /line 10: bad\n +and 15 more/)
    assert.notMatch(text, /line 11/)
  })

  it("says what did not hold", () => {
    const text = Report.summary({ ...held, ok: false, problems: ["one", "two"], caughtUpMs: null }).join("\n")
    assert.match(text, /caught up +no/)
    assert.match(text, /It did not hold:\n {2}- one\n {2}- two$/)
  })
})
