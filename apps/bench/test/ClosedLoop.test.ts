import { describe, expect, it } from "vitest"
import { randomKey, recorder, run } from "../src/ClosedLoop.ts"

const options = { writers: 3, warmup: 0, seconds: 60, commits: 50, valueBytes: 1, keys: 4 }

describe("run", () => {
  it("ends when so many writes were counted", async () => {
    const sample = await run(options, () => Promise.resolve())
    expect(sample.writes).toBe(50)
    expect(sample.writesPerSecond).toBeCloseTo(50 / sample.seconds)
  })

  it("goes on after a failure, and keeps the first as text", async () => {
    let made = 0
    const sample = await run(options, () => (made++ < 2 ? Promise.reject(new Error(`no ${made}`)) : Promise.resolve()))
    expect(sample).toMatchObject({ writes: 50, failed: 2, failure: "Error: no 1" })
  })
})

describe("recorder", () => {
  it("counts nothing while it warms up", async () => {
    const { answered, sample } = recorder({ ...options, warmup: 60 })
    expect(answered(performance.now())).toBe(true)
    expect((await sample()).writes).toBe(0)
  })

  it("keeps latencies to three digits", async () => {
    const { answered, sample } = recorder({ ...options, commits: 2 })
    const now = performance.now()
    answered(now - 123_400)
    answered(now - 123_400)
    const { p50, p99 } = await sample()
    expect(p50 / 123_400).toBeCloseTo(1, 2)
    expect(p99 / 123_400).toBeCloseTo(1, 2)
  })

  it("ends its course with a point that holds all that was counted", async () => {
    const { answered, sample } = recorder({ ...options, commits: 2, everyMillis: 60_000 }, () =>
      Promise.resolve({ indexDelay: 7 })
    )
    answered(performance.now())
    answered(performance.now())
    expect((await sample()).points).toMatchObject([{ writes: 2, indexDelay: 7 }])
  })
})

it("draws keys from as many as it is told", () => {
  const keys = new Set(Array.from({ length: 1000 }, () => randomKey(4)))
  expect(Array.from(keys).sort()).toEqual(["key-0", "key-1", "key-2", "key-3"])
})
