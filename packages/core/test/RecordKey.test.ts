import { assert, describe, it } from "@effect/vitest"
import { RecordKey } from "../src/adapter.ts"

const key = (name: string, namespace = "n") => ({ namespace, key: name })

describe("a range of keys", () => {
  it("of a prefix ends before the first text that does not begin with it, which has no lone surrogate", () => {
    for (const [prefix, to] of [
      ["k", key("l")],
      ["\ud7ff", key("\ue000")],
      ["k\u{10ffff}", key("l")],
      ["\u{10ffff}", key("", "n\0")],
      ["", key("", "n\0")]
    ] as const) {
      assert.deepStrictEqual(RecordKey.rangeOf("n", prefix), { from: key(prefix), to })
      assert.isTrue(RecordKey.isWellFormed(to), JSON.stringify(prefix))
    }
  })

  it("has all that begin with the prefix, and no other", () => {
    const range = RecordKey.rangeOf("n", "k")
    for (const name of ["k", "k\0", "k\u{10ffff}\u{10ffff}"]) assert.isTrue(RecordKey.isWithin(range, key(name)), name)
    for (const name of ["", "j\u{10ffff}", "l"]) assert.isFalse(RecordKey.isWithin(range, key(name)), name)
    assert.isFalse(RecordKey.isWithin(range, key("k", "n\0")))
    assert.isTrue(RecordKey.isWithin(RecordKey.rangeOf("n"), key("")))
    assert.isFalse(RecordKey.isWithin(RecordKey.rangeOf("n"), key("k", "na")))
  })

  it("goes on beyond a key in either direction, and never beyond its own ends", () => {
    const range = RecordKey.rangeOf("n", "k")
    const onwards = RecordKey.beyond(range, key("k1"), false)
    assert.isFalse(RecordKey.isWithin(onwards, key("k1")))
    assert.isTrue(RecordKey.isWithin(onwards, key("k1\0")))
    assert.deepStrictEqual(RecordKey.beyond(range, key("a"), false), range)
    const back = RecordKey.beyond(range, key("k1"), true)
    assert.isFalse(RecordKey.isWithin(back, key("k1")))
    assert.isTrue(RecordKey.isWithin(back, key("k0\u{10ffff}")))
    assert.deepStrictEqual(RecordKey.beyond(range, key("z"), true), range)
  })

  it("up to a key has that key, and nothing after it in the order in which it is gone through", () => {
    const forwards = RecordKey.upTo({}, key("k"), false)
    assert.deepStrictEqual(
      ["j", "k", "k\0"].map((name) => RecordKey.isWithin(forwards, key(name))),
      [true, true, false]
    )
    const backwards = RecordKey.upTo({}, key("k"), true)
    assert.deepStrictEqual(
      ["j", "k", "k\0"].map((name) => RecordKey.isWithin(backwards, key(name))),
      [false, true, true]
    )
  })
})
