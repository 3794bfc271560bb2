import { describe, expect, it } from "vitest"
import { figureRows, ratios, rows } from "../src/Rows.ts"
import { sample } from "./support/samples.ts"

describe("rows", () => {
  it("compares with the system of the same round and number of writers", () => {
    const [first, second, third] = rows(
      [
        sample({ system: "ceiling", round: 1, writesPerSecond: 1000 }),
        sample({ system: "ws", round: 1, writesPerSecond: 500 }),
        sample({ system: "ws", round: 2, writesPerSecond: 80 }),
        sample({ system: "ceiling", round: 2, writesPerSecond: 100 }),
        sample({ system: "ws", writers: 1, round: 1, writesPerSecond: 10 })
      ],
      "ceiling"
    )
    expect(first).toMatchObject({ system: "ceiling", ratio: { median: 1 } })
    expect(second?.writesPerSecond).toEqual({ median: 290, min: 80, max: 500 })
    expect(second?.ratio).toEqual({ median: 0.65, min: 0.5, max: 0.8 })
    expect(third).toMatchObject({ writers: 1, ratio: undefined })
  })

  it("adds up what failed", () => {
    const [row] = rows([sample({ system: "ws", failed: 2 }), sample({ system: "ws", round: 2, failed: 3 })], "ceiling")
    expect(row?.failed).toBe(5)
  })

  it("knows allocations only where they were measured", () => {
    const [core, ws] = rows([sample({ system: "core", allocatedBytes: 700 }), sample({ system: "ws" })], "ceiling")
    expect(core?.allocatedBytes?.median).toBe(700)
    expect(ws?.allocatedBytes).toBeUndefined()
  })
})

describe("ratios", () => {
  it("leaves out rounds in which one of the two is missing", () => {
    const measured = [
      sample({ system: "ws", round: 1, p50: 3 }),
      sample({ system: "ceiling", round: 1, p50: 2 }),
      sample({ system: "ws", round: 2, p50: 9 })
    ]
    const asked = { system: "ws", against: "ceiling", writers: 256, of: ({ p50 }: { p50: number }) => p50 }
    expect(ratios(measured, asked)).toEqual([1.5])
  })
})

describe("figureRows", () => {
  it("brings the rounds of a figure together", () => {
    const figure = { name: "catch-up", unit: "entries/s" }
    expect(
      figureRows([
        { ...figure, value: 10, round: 1 },
        { name: "other", unit: "s", value: 1, round: 1 },
        { ...figure, value: 30, round: 2 }
      ])
    ).toEqual([
      { ...figure, value: { median: 20, min: 10, max: 30 } },
      { name: "other", unit: "s", value: { median: 1, min: 1, max: 1 } }
    ])
  })
})
