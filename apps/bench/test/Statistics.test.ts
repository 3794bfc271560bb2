import { describe, expect, it } from "vitest"
import { confidence, spread } from "../src/Statistics.ts"

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

describe("confidence", () => {
  /** Numbers about 1, from a seed: none is more likely than another within a tenth of it. */
  const about = (seed: number, count: number) => {
    let state = seed
    return Array.from({ length: count }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return 0.9 + (0.2 * state) / 2 ** 32
    })
  }

  it("has the median in its interval, which is the narrower the more values there are", () => {
    const few = confidence(about(1, 10))
    const many = confidence(about(1, 1000))
    for (const { high, low, median } of [few, many]) {
      expect(low).toBeLessThanOrEqual(median)
      expect(high).toBeGreaterThanOrEqual(median)
    }
    expect(many.high - many.low).toBeLessThan((few.high - few.low) / 3)
  })

  it("misses the true median about as seldom as it says", () => {
    const misses = Array.from({ length: 100 }, (_, i) => confidence(about(i * 7919 + 1, 41))).filter(
      ({ high, low }) => low > 1 || high < 1
    )
    expect(misses.length).toBeLessThanOrEqual(12)
  })

  it("says the same of the same values, and nothing of none", () => {
    expect(confidence([1, 2, 4])).toEqual(confidence([1, 2, 4]))
    expect(confidence([]).median).toBeNaN()
  })
})
