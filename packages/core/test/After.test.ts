/** After which clocks a write may be asked to come. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as After from "../src/write/internal/After.ts"

const read = (after: unknown) => After.read({ after }, () => 1000)

describe("a clock that a write is to come after", () => {
  it("L51 is followed up to the latest that there may be, and not a millisecond further", () => {
    const latest = { wallTime: 1000, logical: 2 ** 32 - 1 }
    assert.deepStrictEqual(read(latest), Result.succeed(latest))
    for (const wallTime of [1001, 2 ** 48 - 1]) {
      const rejected = read({ wallTime, logical: 0 })
      assert(Result.isFailure(rejected))
      assert.deepInclude({ ...rejected.failure }, { _tag: "WriteRejected", field: "after", reason: "invalid" })
    }
  })

  it("is none when none is given, and rejected by its name when it is no clock", () => {
    assert.deepStrictEqual(read(undefined), Result.succeed(undefined))
    assert.deepStrictEqual(
      After.read(undefined, () => 0),
      Result.succeed(undefined)
    )
    const no = [null, 5, "1000", {}, { wallTime: -1, logical: 0 }, { wallTime: 1.5, logical: 0 }, { wallTime: 1 }]
    for (const after of [
      ...no,
      { wallTime: 2 ** 48, logical: 0 },
      { wallTime: 1, logical: 2 ** 32 },
      { wallTime: NaN, logical: 0 }
    ]) {
      assert.isTrue(Result.isFailure(read(after)), JSON.stringify(after))
    }
  })

  it("is the later of two", () => {
    const [early, late] = [
      { wallTime: 9, logical: 10 },
      { wallTime: 10, logical: 0 }
    ]
    assert.deepStrictEqual([After.later(early, late), After.later(late, early)], [late, late])
    assert.deepStrictEqual([After.later(undefined, late), After.later(late, undefined)], [late, late])
    assert.isUndefined(After.later(undefined, undefined))
  })
})
