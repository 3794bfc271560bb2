import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as EffectiveTime from "../src/log/EffectiveTime.ts"

const bound = 60_000
const true_ = 1_700_000_000_000
const hour = 3_600_000

const at = (wallMillis: number, monotonicMillis = 0): EffectiveTime.Reading => ({ wallMillis, monotonicMillis })

const Small = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: -1000, maximum: 1000 })))
const Any = Arbitrary.schema(
  Schema.Union([
    Schema.Literals([0, 1, -1, bound, -bound, bound + 1, -bound - 1, hour, -hour, 0.5, 1e15, -1e15]),
    Schema.Int.check(Schema.isBetween({ minimum: -1e12, maximum: 1e12 }))
  ])
)

describe("EffectiveTime", () => {
  it("is the wall clock while that is within the bound of the middle, and its edge beyond", () => {
    const of = (own: number) => EffectiveTime.make(at(true_ + own), [at(true_ - 5), at(true_ + 5)], bound)
    assert.deepStrictEqual(of(0), { millis: true_, heldMillis: 0 })
    assert.deepStrictEqual(of(bound + 5), { millis: true_ + bound + 5, heldMillis: 0 })
    assert.deepStrictEqual(of(bound + 6), { millis: true_ + bound + 5, heldMillis: 1 })
    assert.deepStrictEqual(of(-bound - 5), { millis: true_ - bound - 5, heldMillis: 0 })
    assert.deepStrictEqual(of(-bound - 6), { millis: true_ - bound - 5, heldMillis: -1 })
    assert.deepStrictEqual(of(hour), { millis: true_ + bound + 5, heldMillis: hour - bound - 5 })
  })

  it("L51 holds a clock back that jumped since the others were measured", () => {
    const measured = [at(true_, 1000), at(true_, 1000)]
    const tenYears = 10 * 365 * 24 * hour
    const before = EffectiveTime.make(at(true_ + 300, 1300), measured, bound)
    const after = EffectiveTime.make(at(true_ + 400 + tenYears, 1400), measured, bound)
    assert.deepStrictEqual(before, { millis: true_ + 300, heldMillis: 0 })
    assert.deepStrictEqual(after, { millis: true_ + 400 + bound, heldMillis: tenYears - bound })
  })

  it("of two clocks the earlier is the middle, and one clock alone is followed anywhere", () => {
    assert.strictEqual(EffectiveTime.make(at(hour), [at(0)], bound).millis, bound)
    assert.strictEqual(EffectiveTime.make(at(0), [at(hour)], bound).millis, 0)
    assert.deepStrictEqual(EffectiveTime.make(at(hour), [], bound), { millis: hour, heldMillis: 0 })
  })

  it.prop(
    "while more than half of the clocks are right, no wrong one moves the time by more than the bound",
    { own: Any, wrong: Any, right: Arbitrary.array(Small, { minLength: 3, maxLength: 3 }) },
    ({ own, right, wrong }) => {
      const others = [...right, wrong].map((skew) => at(true_ + skew))
      const { millis } = EffectiveTime.make(at(true_ + own), others, bound)
      assert.isAtMost(Math.abs(millis - true_), bound + 1001)
    }
  )

  it.prop("is a whole number from 0 on, and says by how much the clock is held", { own: Any, other: Any }, (clocks) => {
    const { heldMillis, millis } = EffectiveTime.make(at(clocks.own), [at(clocks.other), at(clocks.other)], bound)
    assert.isTrue(Number.isInteger(millis) && millis >= 0 && Number.isInteger(heldMillis))
    const isWithin = Math.abs(Math.floor(clocks.own) - Math.floor(clocks.other)) <= bound
    assert.strictEqual(heldMillis === 0, isWithin)
    if (heldMillis !== 0) assert.strictEqual(heldMillis > 0, clocks.own > clocks.other)
  })
})
