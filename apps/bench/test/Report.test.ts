import { describe, expect, it } from "vitest"
import type { Measured } from "../src/Bench.ts"
import { rows, table } from "../src/Report.ts"

const sample = (system: string, round: number, writesPerSecond: number, writers = 64): Measured => ({
  system,
  writers,
  round,
  writes: writesPerSecond,
  failed: 0,
  failure: undefined,
  writesPerSecond,
  p50: 1.5,
  p99: 12,
  cpuMicros: 20
})

describe("rows", () => {
  it("compares with the ceiling of the same round and number of writers", () => {
    const [first, second, third] = rows(
      [
        sample("ceiling", 1, 1000),
        sample("ws", 1, 500),
        sample("ceiling", 2, 100),
        sample("ws", 2, 80),
        sample("ws", 1, 10, 1)
      ],
      "ceiling"
    )
    expect(first).toMatchObject({ system: "ceiling", ratio: { median: 1 } })
    expect(second?.writesPerSecond).toEqual({ median: 290, min: 80, max: 500 })
    expect(second?.ratio).toEqual({ median: 0.65, min: 0.5, max: 0.8 })
    expect(third).toMatchObject({ writers: 1, ratio: undefined })
  })

  it("adds up what failed", () => {
    const [row] = rows(
      [
        { ...sample("ws", 1, 10), failed: 2 },
        { ...sample("ws", 2, 10), failed: 3 }
      ],
      "ceiling"
    )
    expect(row?.failed).toBe(5)
  })
})

describe("table", () => {
  it("is Markdown with aligned columns", () => {
    const text = table(
      rows([sample("ceiling", 1, 20_000), sample("ceiling", 2, 10_000), sample("ws", 1, 9000)], "ceiling")
    )
    const lines = text.split("\n")
    expect(lines).toHaveLength(4)
    expect(new Set(lines.map((line) => line.length)).size).toBe(1)
    expect(lines[2]).toContain("15,000 (10,000–20,000)")
    expect(lines[3]).toMatch(/\| +45 % \|/)
  })
})
