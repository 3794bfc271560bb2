import { describe, expect, it } from "vitest"
import * as Course from "../src/Course.ts"
import { point } from "./support/samples.ts"

describe("rates", () => {
  it("divides what was written since the last point by the time since", () => {
    expect(Course.rates([point({ second: 1, writes: 100 }), point({ second: 3, writes: 500 })])).toEqual([
      { second: 1, writesPerSecond: 100 },
      { second: 3, writesPerSecond: 200 }
    ])
  })

  it("leaves out points right beside their neighbours", () => {
    const points = [0.01, 1.01, 2.01, 3.01, 3.02].map((second) => point({ second, writes: second * 100 }))
    expect(Course.rates(points).map(({ second }) => second)).toEqual([1.01, 2.01, 3.01])
  })
})

describe("slices", () => {
  it("finds the time of every so many writes between the points", () => {
    const points = [point({ second: 1, writes: 300 }), point({ second: 2, writes: 400 })]
    expect(Course.slices(points, 200)).toEqual([
      { writes: 200, writesPerSecond: 300 },
      { writes: 400, writesPerSecond: 200 / (2 - 200 / 300) }
    ])
  })

  it("drops what does not fill a slice", () => {
    expect(Course.slices([point({ second: 1, writes: 199 })], 200)).toEqual([])
  })
})

describe("fallsBehind", () => {
  const course = (indexDelay: (second: number) => number) =>
    Array.from({ length: 60 }, (_, i) => point({ second: i + 1, writes: (i + 1) * 1000, indexDelay: indexDelay(i) }))

  it("is zero while the delay is flat, however high", () => {
    expect(Course.fallsBehind(course(() => 70_000))).toBe(0)
  })

  it("is the share of the writes by which the delay grows", () => {
    expect(Course.fallsBehind(course((second) => second * 250))).toBeCloseTo(0.25)
  })

  it("does not take noise for growth", () => {
    expect(Course.fallsBehind(course((second) => (second === 50 ? 1_000_000 : 2000)))).toBe(0)
  })

  it("is unknown where there is no index", () => {
    expect(Course.fallsBehind([point({ second: 1, writes: 10 })])).toBeUndefined()
    expect(Course.fallsBehind([])).toBeUndefined()
  })
})

describe("memoryRange", () => {
  it("does not look at the first fifth", () => {
    const points = [10, 500, 100, 120, 110, 90, 95, 99, 104, 103].map((rssMiB, i) =>
      point({ second: i, writes: i, rssMiB })
    )
    expect(Course.memoryRange(points)).toEqual({ min: 90, max: 120 })
  })
})

describe("ends", () => {
  it("are the middle of the first fifth and of the last, whatever was between", () => {
    expect(Course.ends([1, 2, 9, 500, 500, 500, 500, 500, 500, 500, 500, 500, 3, 4, 80])).toEqual({ first: 2, last: 4 })
  })
})

describe("catchUp", () => {
  // Others write 1,000 entries a second, from 10,000 on; the replica gains 3,000 a second, from second 2 on.
  const points = Array.from({ length: 101 }, (_, i) => point({ second: i / 10, writes: i * 100, p99: i < 50 ? 7 : 3 }))
  const begin = points[0]!.at
  const seen = (until: number) =>
    Array.from({ length: until * 10 + 1 }, (_, i) => ({
      at: begin + 2000 + i * 100,
      held: 4000 + Math.min(i * 300, 8000 - 50 + i * 100)
    }))

  it("measures from the first look until nearly nothing is missing", () => {
    const course = Course.catchUp(seen(6), points, 10_000, 100)
    expect(course.done).toBe(true)
    expect(course.seconds).toBeCloseTo(4, 0)
    expect(course.entriesPerSecond).toBeCloseTo(3000, -2)
    expect(course.writesPerSecond).toBeCloseTo(1000)
  })

  it("measures to the end when the replica does not catch up", () => {
    const course = Course.catchUp(seen(2), points, 10_000, 100)
    expect(course).toMatchObject({ done: false, seconds: 2 })
    expect(course.entriesPerSecond).toBeCloseTo(3000)
    expect(course.missing).toBeCloseTo(10_000 + 4000 - (4000 + 6000))
  })

  it("takes the latency of that time only", () => {
    expect(Course.catchUp(seen(2), points, 10_000, 100).p99).toBe(7)
  })
})
