/** After which clocks a write may be asked to come. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as After from "../src/write/internal/After.ts"

const latest = { wallTime: 1000, logical: 5 }
const read = (after: unknown) => After.read({ after }, () => latest)

describe("a clock that a write is to come after", () => {
  it("L51 is followed up to the latest that there may be, and no further", () => {
    assert.deepStrictEqual(read(latest), Result.succeed(latest))
    for (const [wallTime, logical] of [
      [1000, 6],
      [1001, 0],
      [2 ** 48 - 1, 0]
    ]) {
      const rejected = read({ wallTime, logical })
      assert(Result.isFailure(rejected))
      assert.deepInclude({ ...rejected.failure }, { _tag: "WriteRejected", field: "after", reason: "invalid" })
    }
  })

  it("is none when none is given, and rejected by its name when it is no clock", () => {
    assert.deepStrictEqual(read(undefined), Result.succeed(undefined))
    assert.deepStrictEqual(
      After.read(undefined, () => latest),
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
