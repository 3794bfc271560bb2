import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { HybridLogicalClock } from "../src/index.ts"
import * as FarVersions from "../src/log/FarVersions.ts"

type Clock = HybridLogicalClock.HybridLogicalClock

const clock = (wallTime: number, logical = 0): Clock => ({ wallTime, logical })
const highest = (clocks: ReadonlyArray<Clock>): Clock | undefined => [...clocks].sort(HybridLogicalClock.compare).at(-1)

const Few = Arbitrary.schema(Schema.Literals([1, 2, 3, 4]))
const Version = Arbitrary.all({ key: Few, wallTime: Few, logical: Few })

describe("FarVersions", () => {
  it.prop(
    "knows the highest clock of each key, and says it again from its text",
    { versions: Arbitrary.array(Version, { maxLength: 12 }) },
    ({ versions }) => {
      const table = FarVersions.make()
      for (const { key, logical, wallTime } of versions) table.add("n", `${key}`, clock(wallTime, logical))
      for (const each of [table, FarVersions.make(table.format())]) {
        assert.strictEqual(each.size(), new Set(versions.map(({ key }) => key)).size)
        for (const key of [1, 2, 3, 4]) {
          assert.deepStrictEqual(
            each.of("n", `${key}`),
            highest(versions.filter((version) => version.key === key).map(of))
          )
        }
        assert.isUndefined(each.of("m", "1"))
      }
    }
  )

  it.prop(
    "forgets what the time has got to, and says the highest of it",
    { versions: Arbitrary.array(Version, { maxLength: 12 }), limit: Few },
    ({ limit, versions }) => {
      const table = FarVersions.make()
      for (const version of versions) table.add("n", `${version.key}`, of(version))
      const newest = [1, 2, 3, 4].flatMap((key) => {
        const found = table.of("n", `${key}`)
        return found === undefined ? [] : [found]
      })
      assert.deepStrictEqual(table.settle(limit), highest(newest.filter(({ wallTime }) => wallTime <= limit)))
      assert.strictEqual(table.size(), newest.filter(({ wallTime }) => wallTime > limit).length)
      assert.isUndefined(table.settle(limit))
    }
  )

  it("is bounded: what finds no room counts for every key, until the time gets there", () => {
    const table = FarVersions.make()
    for (let i = 0; i < FarVersions.maxKeys; i++) table.add("n", `${i}`, clock(100))
    assert.strictEqual(table.size(), FarVersions.maxKeys)
    assert.isUndefined(table.of("n", "another"))
    table.add("n", "0", clock(101))
    assert.isUndefined(table.of("n", "another"))
    table.add("n", "one more", clock(200))
    table.add("n", "and one more", clock(150))
    const again = FarVersions.make(table.format())
    for (const each of [table, again]) {
      assert.strictEqual(each.size(), FarVersions.maxKeys + 1)
      assert.deepStrictEqual(each.of("n", "another"), clock(200))
      assert.deepStrictEqual(each.of("n", "0"), clock(200))
      assert.deepStrictEqual(each.settle(199), clock(101))
      assert.strictEqual(each.size(), 1)
      assert.deepStrictEqual(each.settle(200), clock(200))
      assert.isUndefined(each.of("n", "another"))
    }
  })

  it("tells keys apart whose names join to one text", () => {
    const table = FarVersions.make()
    table.add("a", "bc", clock(1))
    assert.isUndefined(table.of("ab", "c"))
  })
})

// ---------------------------------------------------------------------------------------------------------------------

const of = ({ logical, wallTime }: { readonly wallTime: number; readonly logical: number }): Clock =>
  clock(wallTime, logical)
