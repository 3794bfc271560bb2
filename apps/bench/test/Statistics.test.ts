import { describe, expect, it } from "vitest"
import { percentile, spread } from "../src/Statistics.ts"

describe("percentile", () => {
  it("is the nearest rank", () => {
    const sorted = Array.from({ length: 100 }, (_, i) => i + 1)
    expect(percentile(sorted, 0.5)).toBe(50)
    expect(percentile(sorted, 0.99)).toBe(99)
    expect(percentile(sorted, 1)).toBe(100)
    expect(percentile(sorted, 0)).toBe(1)
    expect(percentile([7], 0.99)).toBe(7)
  })

  it("is unknown without values", () => {
    expect(percentile([], 0.5)).toBeNaN()
  })
})

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
})
