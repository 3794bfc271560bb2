import { describe, expect, it } from "vitest"
import * as Goals from "../src/Goals.ts"
import * as Report from "../src/Report.ts"
import { rows } from "../src/Rows.ts"
import { outcome, sample } from "./support/samples.ts"

const samples = [
  sample({ system: "ceiling", round: 1, writesPerSecond: 20_000 }),
  sample({ system: "ceiling", round: 2, writesPerSecond: 10_000 }),
  sample({ system: "ws", round: 1, writesPerSecond: 9000 })
]

describe("table", () => {
  it("is Markdown with aligned columns", () => {
    const lines = Report.table(rows(samples, "ceiling"), "ceiling").split("\n")
    expect(lines).toHaveLength(4)
    expect(new Set(lines.map((line) => line.length)).size).toBe(1)
    expect(lines[2]).toContain("15,000 (10,000–20,000)")
    expect(lines[3]).toMatch(/\| +45.0 % \|/)
  })

  it("has no column for what was not measured", () => {
    const text = Report.table(rows(samples, "nobody"), "nobody")
    expect(text).not.toContain("of nobody")
    expect(text).not.toContain("heap bytes")
    expect(text).not.toContain("disk bytes")
    const onLinux = samples.map((sample) => ({ ...sample, writtenBytes: 300 }))
    expect(Report.table(rows(onLinux, "nobody"), "nobody")).toContain("disk bytes")
  })
})

describe("figures", () => {
  it("shows shares as percent, and other values with their unit", () => {
    const text = Report.figures([
      { name: "commits meanwhile", unit: "share", value: { median: 0.7, min: 0.7, max: 0.7 } },
      { name: "catch-up", unit: "entries/s", value: { median: 50_000, min: 40_000, max: 60_000 } }
    ])
    expect(text).toMatch(/70.0 % \| +\|/)
    expect(text).toContain("50,000 (40,000–60,000) | entries/s |")
  })
})

describe("goals", () => {
  it("shows the bound, what was measured, and whether it holds", () => {
    const text = Report.goals(Goals.verdicts([outcome({ part: "commits", samples })]))
    expect(text).toMatch(
      /ws on the better store, 256 writers: throughput of the ceiling's \| +≥ 0.9 × \| +0.450 \| +NO \|/
    )
  })
  it("does not round a goal that is missed to its bound", () => {
    const goal = Goals.all.find(
      ({ name }) => name === "ws on the better store, 256 writers: throughput of the ceiling's"
    )!
    const shown = (is: Goals.Goal["is"], value: number) => {
      const values = { median: value, min: value, max: value }
      return Report.goals([{ goal: { ...goal, is }, value: values, holds: false }])
    }
    expect(shown("at least", 0.749_99)).toMatch(/ 0\.749 \|/)
    expect(shown("at least", 0.75)).toMatch(/ 0\.750 \|/)
    expect(shown("at most", 0.750_01)).toMatch(/ 0\.751 \|/)
  })
})
