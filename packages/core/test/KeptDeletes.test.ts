/** Of which keys deletes stay for entries of several records, and what becomes of too many of them. */
import { assert, describe, it } from "@effect/vitest"
import * as KeptDeletes from "../src/upkeep/internal/KeptDeletes.ts"

const at = (wallTime: number) => ({ wallTime, logical: 0 })
const key = (name: string) => ({ namespace: "n", key: name })

describe("deletes that are kept", () => {
  it("are those that the last whole round needed, and not those of one that did not end", () => {
    const kept = KeptDeletes.make(1000)
    kept.begin(at(1))
    kept.needs(key("a"), true)
    assert.isFalse(kept.isNeeded(key("a")))
    kept.end()
    assert.isTrue(kept.isNeeded(key("a")))
    kept.begin(at(1))
    assert.isTrue(kept.isNeeded(key("a")))
    kept.begin(at(1))
    kept.end()
    assert.isFalse(kept.isNeeded(key("a")))
  })

  it("are needed for what is live if one of the entries that need them stays for that", () => {
    const kept = KeptDeletes.make(1000)
    kept.begin(at(1))
    for (const [name, forLive] of [
      ["a", false],
      ["b", false],
      ["b", true],
      ["b", false]
    ] as const)
      kept.needs(key(name), forLive)
    kept.end()
    kept.releases(key("c"), at(5))
    assert.deepStrictEqual(
      ["a", "b", "c"].map((name) => kept.isNeededForLive(key(name))),
      [false, true, false]
    )
  })

  it("are those that were released, until all have swept beyond the latest of what released them", () => {
    const kept = KeptDeletes.make(1000)
    kept.begin(undefined)
    kept.releases(key("a"), at(5))
    kept.releases(key("a"), at(4))
    assert.isTrue(kept.isNeeded(key("a")))
    for (const swept of [undefined, at(5)]) {
      assert.deepStrictEqual(kept.begin(swept), swept)
      assert.isTrue(kept.isNeeded(key("a")))
    }
    kept.begin(at(6))
    assert.isFalse(kept.isNeeded(key("a")))
  })

  it("are all deletes while too many are needed, and no more when a round has found fewer", () => {
    const kept = KeptDeletes.make(200)
    kept.begin(at(9))
    for (const name of ["a", "b", "c", "c"]) kept.needs(key(name), false)
    kept.end()
    assert.isUndefined(kept.mayForget(at(9)))
    assert.isUndefined(kept.begin(at(9)))
    for (const name of ["a", "b", "b", "a"]) kept.needs(key(name), false)
    kept.end()
    assert.deepStrictEqual(kept.begin(at(9)), at(9))
    assert.isTrue(kept.isNeeded(key("b")))
    assert.isFalse(kept.isNeeded(key("c")))
  })

  it("are all deletes when too many were released, until all have swept beyond what released the last of them", () => {
    const kept = KeptDeletes.make(200)
    kept.begin(at(1))
    for (const [i, name] of ["a", "b", "c"].entries()) kept.releases(key(name), at(10 + i))
    assert.isTrue(kept.isNeeded(key("z")), "at once, in the same round")
    kept.releases(key("d"), at(20))
    kept.releases(key("e"), at(15))
    assert.isUndefined(kept.begin(at(20)))
    assert.deepStrictEqual(kept.begin(at(21)), at(21))
    assert.isFalse(kept.isNeeded(key("a")))
    // What was released before does not count any more.
    kept.releases(key("f"), at(30))
    kept.releases(key("g"), at(30))
    assert.deepStrictEqual(kept.begin(at(22)), at(22))
  })
})
