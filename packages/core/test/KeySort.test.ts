import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as KeySort from "../src/record/internal/KeySort.ts"

/** Keys as lists of parts; beyond its end a key has the part 0, and all its own parts are above. */
const Keys = Arbitrary.array(
  Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))), { maxLength: 6 }),
  { maxLength: 200 }
)

const sortOf = (
  keys: ReadonlyArray<ReadonlyArray<number>>,
  part = (item: number, index: number) => keys[item]![index] ?? 0
) => KeySort.make(Uint32Array.from(keys.keys()), part, Math.random)

const compare = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => {
  const at = a.findIndex((part, i) => part !== b[i])
  return at < 0 ? a.length - b.length : a[at]! - (b[at] ?? 0)
}

describe("KeySort", () => {
  it.prop("sorts as a comparison of whole keys does, however few are taken at once", [Keys], ([drawn]) => {
    const keys = [...new Map(drawn.map((key) => [key.join(), key])).values()]
    for (const count of [1, 7, 1000]) {
      const sort = sortOf(keys)
      const found: Array<number> = []
      while (found.length < keys.length) found.push(...sort.next(count))
      assert.deepStrictEqual(
        found.map((item) => keys[item]!),
        keys.toSorted(compare)
      )
      assert.deepStrictEqual(sort.next(count), [])
    }
  })

  it("sorts thousands that come in runs, and that begin alike", () => {
    const keys = Array.from({ length: 5000 }, (_, i) =>
      i < 2000 ? [1, 1 + i] : i < 4000 ? [2, 4000 - i] : [3, 5000, 1 + ((i * 7919) % 1009)]
    )
    const sort = sortOf(keys)
    const found: Array<number> = []
    for (let calls = 0; found.length < keys.length && calls < 5000; calls++) found.push(...sort.next(128))
    assert.deepStrictEqual(
      found.map((item) => keys[item]!),
      keys.toSorted(compare)
    )
  })

  it("does no more than some milliseconds of work at once, also where many keys begin alike", () => {
    const keys = Array.from({ length: 50_000 }, (_, i) => [1, 1, 1, 1 + ((i * 7919) % 50_000)])
    let looked = 0
    const sort = sortOf(keys, (item, index) => {
      looked++
      return keys[item]![index] ?? 0
    })
    let found = 0
    let most = 0
    while (found < 1000) {
      const before = looked
      found += sort.next(100).length
      most = Math.max(most, looked - before)
    }
    assert.isAtMost(most, 4096)
  })
})
