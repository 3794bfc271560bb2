// Samples as a measurement would yield them, with what a test is about given.
import type { Measured } from "../../src/Bench.ts"
import type { Outcome } from "../../src/Part.ts"
import type { Point } from "../../src/Points.ts"

export const sample = (given: Partial<Measured> & Pick<Measured, "system">): Measured => ({
  writers: 256,
  round: 1,
  writes: 1000,
  failed: 0,
  failure: undefined,
  seconds: 1,
  writesPerSecond: 1000,
  p50: 1.5,
  p99: 12,
  cpuMicros: 20,
  heldP999: 2,
  heldMost: 3,
  points: [],
  ...given
})

export const point = (given: Partial<Point> & Pick<Point, "second" | "writes">): Point => ({
  at: 1_000_000 + given.second * 1000,
  p99: 5,
  rssMiB: 100,
  heapMiB: 50,
  ...given
})

export const outcome = (given: Partial<Outcome> & Pick<Outcome, "part">): Outcome => ({
  parameters: {},
  against: "ceiling",
  samples: [],
  figures: [],
  ...given
})
