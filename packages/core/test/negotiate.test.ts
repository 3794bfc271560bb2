import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Limits } from "../src/index.ts"
import { negotiate } from "../src/peer/internal/negotiate.ts"

const limits = Limits.defaults
const ours = { versions: [2, 3, 4], features: ["x", "y"], limits }
const agreed = (theirs: Parameters<typeof negotiate>[1]) => Result.getOrThrow(negotiate(ours, theirs))
const refused = (theirs: Parameters<typeof negotiate>[1]) => Result.getOrThrow(Result.flip(negotiate(ours, theirs)))

describe("negotiate", () => {
  it("uses the highest version that both speak, whatever the order", () => {
    assert.strictEqual(agreed({ versions: [4, 3] }).version, 4)
    assert.strictEqual(agreed({ versions: [1, 3, 2] }).version, 3)
    assert.strictEqual(agreed({ versions: [2, 9] }).version, 2)
    const newestFirst = { ...ours, versions: [4, 3, 2] }
    assert.strictEqual(Result.getOrThrow(negotiate(newestFirst, { versions: [2, 3] })).version, 3)
  })

  it("refuses only without a common version, and names both", () => {
    for (const versions of [[1], [5, 6], []]) {
      const { detail, reason } = refused({ versions })
      assert.strictEqual(reason, "version")
      assert.include(detail, "2, 3, 4")
    }
  })

  it("takes who says no versions to speak the one that it names, and who names none to speak the first", () => {
    assert.strictEqual(agreed({ version: 3 }).version, 3)
    assert.strictEqual(refused({ version: 1 }).reason, "version")
    assert.strictEqual(refused({}).reason, "version")
    assert.strictEqual(Result.getOrThrow(negotiate({ ...ours, versions: [1, 2] }, {})).version, 1)
  })

  it("uses the features that both have", () => {
    assert.deepStrictEqual(agreed({ versions: [2], features: ["z", "y"] }).features, ["y"])
    assert.deepStrictEqual(agreed({ versions: [2] }).features, [])
  })

  for (const field of ["namespaceBytes", "keyBytes", "valueBytes"] as const) {
    it(`L25 refuses a peer with another limit of ${field}, by a byte, and names it and both values`, () => {
      for (const by of [-1, 1]) {
        const theirs = { ...limits, [field]: limits[field] + by }
        const { detail, reason } = refused({ versions: [2], limits: theirs })
        assert.strictEqual(reason, "limits_differ")
        for (const part of [field, `${limits[field]}`, `${theirs[field]}`]) assert.include(detail, part)
      }
      assert.strictEqual(agreed({ versions: [2], limits: { ...limits } }).version, 2)
    })
  }

  it("compares no limits with who does not say them", () => {
    assert.strictEqual(agreed({ versions: [2] }).version, 2)
  })
})
