import { expect, it } from "vitest"
import { isAtRest } from "../src/Replicas.ts"

const status = { at: 0, rssMiB: 0, heapMiB: 0, held: 10, indexDelay: 0 }

it("replicas are at rest when all hold the same and their indexes cover it", () => {
  expect(isAtRest([status, status])).toBe(true)
  expect(isAtRest([status, { ...status, held: 9 }])).toBe(false)
  expect(isAtRest([status, { ...status, indexDelay: 1 }])).toBe(false)
})
