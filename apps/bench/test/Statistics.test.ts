import { describe, expect, it } from "vitest"
import { spread } from "../src/Statistics.ts"

describe("spread", () => {
  it("takes the middle, and the mean of two middles", () => {
    expect(spread([30, 10, 20])).toEqual({ median: 20, min: 10, max: 30 })
    expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 })
  })

  it("leaves its input as it was, and compares numbers, not text", () => {
    const values = [100, 9, 20]
    expect(spread(values).median).toBe(20)
    expect(values).toEqual([100, 9, 20])
  })

  it("is unknown without values", () => {
    expect(spread([]).median).toBeNaN()
  })

  it("is unknown when one of the values is", () => {
    const unknown = { median: Number.NaN, min: Number.NaN, max: Number.NaN }
    expect(spread([Number.NaN, 1, 2])).toEqual(unknown)
    expect(spread([1, 2, Number.NaN])).toEqual(unknown)
  })
})
