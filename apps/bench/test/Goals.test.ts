import { describe, expect, it } from "vitest"
import * as Goals from "../src/Goals.ts"
import * as Parts from "../src/Parts.ts"
import { outcome, sample } from "./support/samples.ts"

const named = (name: string): Goals.Goal => Goals.all.find((goal) => goal.name === name)!

const shown = ({ goal, holds, value }: Goals.Verdict): string =>
  `${goal.name}: ${value.median}, ${holds ? "holds" : "fails"}`

describe("verdicts", () => {
  it("says nothing about what was not measured", () => {
    expect(Goals.verdicts([])).toEqual([])
    expect(Goals.verdicts([outcome({ part: "commits", samples: [sample({ system: "ws" })] })])).toEqual([])
  })

  it("goes by the median of the rounds, and shows their spread", () => {
    const rounds = [0.7, 0.8, 0.9].flatMap((share, round) => [
      sample({ system: "ceiling", writers: 64, round, writesPerSecond: 1000 }),
      sample({ system: "ws", writers: 64, round, writesPerSecond: 1000 * share })
    ])
    const goal = named("ws on the better store, 64 writers: throughput of the ceiling's")
    const [verdict] = Goals.verdicts([outcome({ part: "commits", samples: rounds })], [goal])
    expect(verdict).toEqual({ goal, value: { median: 0.8, min: 0.7, max: 0.9 }, holds: true })
  })

  it("takes the better of the stores in each round", () => {
    const rounds = [0.7, 0.9].flatMap((share, round) => [
      sample({ system: "ceiling", round, writesPerSecond: 1000, p99: 10 }),
      sample({ system: "ws", round, writesPerSecond: 1000 * share, p99: 10 * share }),
      sample({ system: "ws-lmdb", round, writesPerSecond: 800, p99: 8 })
    ])
    const value = (what: string) =>
      Goals.verdicts(
        [outcome({ part: "commits", samples: rounds })],
        [named(`ws on the better store, 256 writers: ${what} of the ceiling's`)]
      )[0]?.value
    expect(value("throughput")).toMatchObject({ min: 0.8, max: 0.9 })
    expect(value("p99")).toEqual({ median: 0.75, min: 0.7, max: 0.8 })
  })

  it("compares what is written to the disk with the bytes of a value, where that was measured", () => {
    const goal = named("ws on the better store, 256 writers: bytes written to the disk, of those of the value")
    const samples = [sample({ system: "ws", writtenBytes: 256 })]
    expect(Goals.verdicts([outcome({ part: "commits", samples })], [goal])[0]?.value.median).toBe(2)
    expect(Goals.verdicts([outcome({ part: "commits", samples: [sample({ system: "ws" })] })], [goal])).toEqual([])
  })

  it("compares the client with what users would ask beside it: writes/s of many writers, delay of one", () => {
    const samples = [
      sample({ system: "client-promises", writesPerSecond: 40_000 }),
      sample({ system: "redis", writesPerSecond: 16_000 }),
      sample({ system: "ws", writesPerSecond: 100_000 }),
      sample({ system: "client-promises", writers: 1, p50: 2 }),
      sample({ system: "etcd", writers: 1, p50: 1.6 })
    ]
    const found = Goals.verdicts([outcome({ part: "commits", samples })])
    expect(found.filter(({ goal }) => goal.name.startsWith("@quorum/client")).map(shown)).toEqual([
      "@quorum/client, 256 writers: throughput of Redis's: 2.5, holds",
      "@quorum/client, 256 writers: throughput of ws's, which is asked in a replica: 0.4, fails",
      "@quorum/client, 1 writer: p50 of etcd's: 1.25, fails"
    ])
  })

  it("compares reads by key with a bare SELECT of the same round", () => {
    const figures = [
      { name: "lmdb: reads by key", unit: "records/s", value: 120_000, round: 1 },
      { name: "lmdb: a bare SELECT by key", unit: "records/s", value: 160_000, round: 1 }
    ]
    const verdicts = Goals.verdicts([outcome({ part: "reads", figures })])
    expect(verdicts.map(({ value }) => value.median)).toEqual([0.75, 120_000])
  })

  it("holds at the bound, and not beyond it", () => {
    const at = (p99: number) =>
      Goals.verdicts(
        [
          outcome({ part: "commits", samples: [sample({ system: "ceiling", p99: 10 }), sample({ system: "ws", p99 })] })
        ],
        [named("ws on the better store, 256 writers: p99 of the ceiling's")]
      )[0]?.holds
    expect(at(10)).toBe(true)
    expect(at(10.1)).toBe(false)
  })

  it("takes samples of its own part only", () => {
    const samples = [sample({ system: "ceiling" }), sample({ system: "ws" })]
    const [verdict, ...others] = Goals.verdicts([outcome({ part: "sustained", samples })])
    expect([verdict, ...others].map((each) => each?.goal.part)).toEqual(["sustained", "sustained"])
  })

  it("reads the cost of core from its throughput", () => {
    const samples = [sample({ system: "core", writesPerSecond: 400_000 })]
    const [verdict] = Goals.verdicts([outcome({ part: "commits", samples })])
    expect(verdict).toMatchObject({ value: { median: 2.5 }, holds: true })
  })

  it("finds its figures by name, and turns MiB into MB", () => {
    const figures = [{ name: "memory, half its range", unit: "MiB", value: 19.5, round: 1 }]
    const [verdict] = Goals.verdicts([outcome({ part: "peer-down", figures })])
    expect(verdict?.value.median).toBeCloseTo(20.447, 3)
    expect(verdict?.holds).toBe(false)
  })
})

it("has goals only for parts that there are", () => {
  const parts = Parts.all.map(({ name }) => name)
  expect(Goals.all.filter(({ part }) => !parts.includes(part))).toEqual([])
})
