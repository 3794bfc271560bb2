import { describe, expect, it } from "vitest"
import type { Measured } from "../src/Bench.ts"
import { findings, floors, line } from "../src/Regression.ts"
import { sample } from "./support/samples.ts"

/** A round in which ws has so much of the ceiling's throughput, and core costs so many of the ceiling's writes. */
const round = (round: number, ws: number, core: number): ReadonlyArray<Measured> => [
  sample({ system: "ceiling", round, writesPerSecond: 100_000, cpuMicros: 4 }),
  sample({ system: "ws", round, writesPerSecond: 100_000 * ws }),
  sample({ system: "core", round, cpuMicros: 4 * core })
]

const good = { ws: floors.ws * 2.5, core: 1 / (floors.core * 2.5) }

const failing = (samples: ReadonlyArray<Measured>): ReadonlyArray<string> =>
  findings(samples)
    .filter(({ passes }) => !passes)
    .map(({ name }) => name)

describe("findings", () => {
  it("pass what is as fast as it was", () => {
    expect(failing(round(1, good.ws, good.core))).toEqual([])
  })

  it("fail when ws has become three times slower", () => {
    const slow = [...round(1, good.ws / 3, good.core), ...round(2, good.ws / 3.2, good.core)]
    expect(failing(slow)).toEqual(["throughput of ws, of the ceiling's"])
  })

  it("fail when core has become three times as expensive", () => {
    expect(failing(round(1, good.ws, good.core * 3))).toEqual(["processor time per write of the ceiling, of core's"])
  })

  it("pass when one round was good and noise hit the others", () => {
    expect(failing([...round(1, good.ws / 5, good.core * 5), ...round(2, good.ws, good.core)])).toEqual([])
  })

  it("fail what could not be measured", () => {
    expect(failing([])).toHaveLength(2)
    expect(failing(round(1, Number.NaN, Number.NaN))).toHaveLength(2)
  })
})

describe("line", () => {
  it("says which ratio, what was measured, and what the floor is", () => {
    const [ws] = findings([...round(1, 0.05, 1), ...round(2, 0.04, 1)])
    expect(line(ws!)).toBe(
      `FAILS: throughput of ws, of the ceiling's: 0.05 at best (rounds: 0.05, 0.04), and the floor is ${floors.ws}`
    )
  })
})
