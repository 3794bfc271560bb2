import { describe, expect, it } from "vitest"
import * as Goals from "../src/Goals.ts"
import * as Parts from "../src/Parts.ts"
import { outcome, sample } from "./support/samples.ts"

const named = (name: string): Goals.Goal => Goals.all.find((goal) => goal.name === name)!

describe("verdicts", () => {
  it("says nothing about what was not measured", () => {
    expect(Goals.verdicts([])).toEqual([])
    expect(Goals.verdicts([outcome({ part: "commits", samples: [sample({ system: "ws" })] })])).toEqual([])
  })

  it("goes by the median of the rounds, and shows their spread", () => {
    const rounds = [0.7, 0.8, 0.9].flatMap((share, round) => [
      sample({ system: "ceiling", round, writesPerSecond: 1000 }),
      sample({ system: "ws", round, writesPerSecond: 1000 * share })
    ])
    const goal = named("ws, 256 writers: throughput of the ceiling's")
    const [verdict] = Goals.verdicts([outcome({ part: "commits", samples: rounds })], [goal])
    expect(verdict).toEqual({ goal, value: { median: 0.8, min: 0.7, max: 0.9 }, holds: true })
  })

  it("holds at the bound, and not beyond it", () => {
    const at = (p99: number) =>
      Goals.verdicts(
        [
          outcome({ part: "commits", samples: [sample({ system: "ceiling", p99: 10 }), sample({ system: "ws", p99 })] })
        ],
        [named("ws, 256 writers: p99 of the ceiling's")]
      )[0]?.holds
    expect(at(15)).toBe(true)
    expect(at(15.1)).toBe(false)
  })

  it("takes samples of its own part only", () => {
    const samples = [sample({ system: "ceiling" }), sample({ system: "ws" })]
    const [verdict, ...others] = Goals.verdicts([outcome({ part: "sustained", samples })])
    expect(verdict?.goal.part).toBe("sustained")
    expect(others).toEqual([])
  })

  it("reads the cost of core from its throughput", () => {
    const samples = [sample({ system: "core", writesPerSecond: 250_000 })]
    const [verdict] = Goals.verdicts([outcome({ part: "commits", samples })])
    expect(verdict).toMatchObject({ value: { median: 4 }, holds: true })
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
