import { assert, describe, it } from "@effect/vitest"
import * as Dice from "../src/internal/simulation/Dice.ts"
import { isLinearizable, type Operation } from "../src/internal/simulation/Linearizability.ts"

const write = (value: string, asked: number, answered?: number): Operation => ({
  kind: "write",
  value,
  asked,
  answered
})
const read = (value: string, asked: number, answered: number): Operation => ({ kind: "read", value, asked, answered })

/** Tries every order of every choice of the writes that were not answered. */
const naive = (operations: ReadonlyArray<Operation>): boolean => {
  const fits = (rest: ReadonlyArray<Operation>, value: string): boolean => {
    if (rest.every(({ answered }) => answered === undefined)) return true
    return rest.some((next, i) => {
      const others = rest.filter((_, j) => j !== i)
      if (others.some(({ answered }) => answered !== undefined && answered < next.asked)) return false
      if (next.kind === "read") return next.value === value && fits(others, value)
      return fits(others, next.value)
    })
  }
  return fits(operations, "")
}

describe("Linearizability", () => {
  it("finds an order of what overlaps", () => {
    assert.strictEqual(isLinearizable([write("a", 0, 5), write("b", 1, 4), read("a", 6, 7)]), "yes")
    assert.strictEqual(isLinearizable([write("a", 0, 5), read("", 1, 2), read("a", 3, 4)]), "yes")
  })

  it("finds none when a read shows what was overwritten before", () => {
    assert.strictEqual(isLinearizable([write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)]), "no")
  })

  it("finds none when a later read shows less", () => {
    assert.strictEqual(isLinearizable([write("a", 0, 9), read("a", 1, 2), read("", 3, 4)]), "no")
  })

  it("lets a write that was not answered take effect once, at any time, or never", () => {
    assert.strictEqual(isLinearizable([write("a", 0), write("b", 1, 2), read("b", 3, 4), read("a", 5, 6)]), "yes")
    assert.strictEqual(isLinearizable([write("a", 0), write("b", 1, 2), read("b", 3, 4)]), "yes")
    const twice = [write("a", 0), read("a", 1, 2), write("b", 3, 4), read("b", 5, 6), read("a", 7, 8)]
    assert.strictEqual(isLinearizable(twice), "no")
  })

  it("knows of many writes that were not answered, and of deletes among them, whether they fit", () => {
    const count = 60
    const writes = Array.from({ length: count }, (_, i) => write(i % 3 === 0 ? "" : `v${i}`, 0))
    const reads = writes.map(({ value }, i) => read(value, 10 * i + 1, 10 * i + 2))
    assert.strictEqual(isLinearizable([...writes, ...reads]), "yes")
    const again = read("v1", 10 * count + 1, 10 * count + 2)
    assert.strictEqual(isLinearizable([...writes, ...reads, again]), "no")
    // The first read may have come before all, so that one of the deletes is left for one read more, and not for two.
    const end = 10 * count
    const once = [write("a", end + 3, end + 4), read("a", end + 5, end + 6), read("", end + 7, end + 8)]
    assert.strictEqual(isLinearizable([...writes, ...reads, ...once]), "yes")
    const twice = [write("b", end + 9, end + 10), read("b", end + 11, end + 12), read("", end + 13, end + 14)]
    assert.strictEqual(isLinearizable([...writes, ...reads, ...once, ...twice]), "no")
  })

  it("agrees with trying every order", () => {
    const dice = Dice.make(1, "histories")
    let found = 0
    for (let run = 0; run < 20_000; run++) {
      const operations = Array.from({ length: 2 + dice.below(6) }, (_, i): Operation => {
        const asked = dice.below(12)
        const answered = asked + 1 + dice.below(6)
        if (dice.chance(0.5)) return read(dice.pick(["", "v0", "v1", "v2"]), asked + i / 10, answered + i / 10)
        const value = dice.chance(0.3) ? "" : `v${dice.chance(0.8) ? i : dice.below(3)}`
        return write(value, asked + i / 10, dice.chance(0.3) ? undefined : answered + i / 10)
      })
      const expected = naive(operations) ? "yes" : "no"
      if (expected === "no") found++
      assert.strictEqual(isLinearizable(operations), expected, JSON.stringify(operations))
    }
    assert.isAbove(found, 2000)
    assert.isBelow(found, 19_000)
  })
})
