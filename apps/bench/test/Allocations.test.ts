import { expect, it } from "vitest"
import * as Allocations from "../src/Allocations.ts"

it("adds up what was allocated, collected or not", () => {
  const allocated = Allocations.start()
  let kept: Array<number> = []
  for (let i = 0; i < 200_000; i++) kept = Array.from({ length: 100 }, () => i)
  const bytes = allocated()
  expect(kept).toHaveLength(100)
  // A hundred small integers take 8 bytes each.
  expect(bytes).toBeGreaterThan(200_000 * 800)
  expect(bytes).toBeLessThan(200_000 * 4000)
})
