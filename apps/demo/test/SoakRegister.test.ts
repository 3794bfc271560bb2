import { assert, describe, it } from "@effect/vitest"
import * as Random from "../src/soak/Random.ts"
import * as Register from "../src/soak/Register.ts"

/** `w1 0 3` writes 1 from 0 to 3, `r- 4 5` reads nothing; `?` is no end. */
const history = (...lines: ReadonlyArray<string>): ReadonlyArray<Register.Operation> =>
  lines.map((line) => {
    const [what, begun, ended] = line.split(" ") as [string, string, string]
    return {
      kind: what.startsWith("w") ? "write" : "read",
      value: what.slice(1) === "-" ? undefined : Number(what.slice(1)),
      begun: Number(begun),
      ended: ended === "?" ? undefined : Number(ended)
    }
  })

const isAtomic = (...lines: ReadonlyArray<string>) => Register.check(history(...lines))._tag === "Atomic"

describe("Register", () => {
  it("takes what happened one after the other", () => {
    assert.isTrue(isAtomic("r- 0 1", "w1 2 3", "r1 4 5", "w- 6 7", "r- 8 9", "w2 10 11", "r2 12 13"))
  })

  it("AtomicRegister: refuses a read of what was overwritten before it began", () => {
    assert.isFalse(isAtomic("w1 0 1", "w2 2 3", "r1 4 5"))
    assert.isFalse(isAtomic("w1 0 1", "w- 2 3", "r1 4 5"))
    assert.isFalse(isAtomic("w1 0 1", "r- 2 3"))
  })

  it("AtomicRegister: refuses an older value after a newer one was read, though both writes are under way", () => {
    assert.isTrue(isAtomic("w1 0 9", "w2 0 9", "r1 1 2", "r2 3 4"))
    assert.isFalse(isAtomic("w1 0 9", "w2 0 9", "r1 1 2", "r2 3 4", "r1 5 6"))
  })

  it("lets a write under way be seen, or not, until it is seen", () => {
    assert.isTrue(isAtomic("w1 0 1", "w2 2 9", "r1 3 4", "r2 5 6"))
    assert.isFalse(isAtomic("w1 0 1", "w2 2 9", "r2 3 4", "r1 5 6"))
  })

  it("lets a write of which nobody knows take effect once, late, or never", () => {
    assert.isTrue(isAtomic("w1 0 1", "w2 2 ?", "r1 3 4", "r1 5 6"))
    assert.isTrue(isAtomic("w1 0 1", "w2 2 ?", "r1 3 4", "r2 5 6"))
    assert.isFalse(isAtomic("w1 0 1", "w2 2 ?", "r2 3 4", "r1 5 6"))
    assert.isTrue(isAtomic("w1 0 1", "w- 2 ?", "r1 3 4", "r- 5 6"))
    assert.isFalse(isAtomic("w1 0 1", "w- 2 ?", "r- 3 4", "w3 5 6", "r3 7 8", "r- 9 10"))
  })

  it("takes no notice of a read that has no answer", () => {
    assert.isTrue(isAtomic("w1 0 1", "r7 2 ?", "r1 3 4"))
  })

  it("agrees with the slow search through all orders", () => {
    const random = Random.make(7)
    const told = { yes: 0, no: 0 }
    for (let run = 0; run < 4000; run++) {
      const made = Array.from({ length: 3 + random(4) }, (_, i): Register.Operation => {
        const begun = random(12)
        const kind = random(2) === 0 ? "write" : "read"
        const isLost = kind === "write" && random(5) === 0
        const value = random(3) === 0 ? undefined : kind === "write" ? i : random(6)
        return { kind, value, begun: begun + i / 10, ended: isLost ? undefined : begun + 1 + random(6) + i / 10 }
      })
      const expected = slow(made)
      told[expected ? "yes" : "no"]++
      assert.strictEqual(Register.check(made)._tag === "Atomic", expected, JSON.stringify(made))
    }
    assert.isAbove(told.yes, 500)
    assert.isAbove(told.no, 500)
  })

  it("decides a history of thousands with twenty at once, and finds the one read in it that is wrong", () => {
    const random = Random.make(3)
    let value: number | undefined
    const made = Array.from({ length: 6000 }, (_, i): Register.Operation => {
      // What takes effect at 100 i, with as much around it.
      const [begun, ended] = [100 * i - random(1000), 100 * i + random(1000)]
      if (random(3) === 0) return { kind: "read", value, begun, ended }
      value = random(4) === 0 ? undefined : i
      return { kind: "write", value, begun, ended: random(50) === 0 ? undefined : ended }
    })
    assert.strictEqual(Register.check(made)._tag, "Atomic")
    const late = made.findLast(({ kind, value }) => kind === "read" && value !== undefined)!
    const wrong = { ...late, begun: late.begun + 20_000, ended: late.ended! + 20_000 }
    assert.strictEqual(Register.check([...made.slice(0, -100), wrong])._tag, "NotAtomic")
  })
})

// ---------------------------------------------------------------------------------------------------------------------

/** All orders, one after the other. */
const slow = (all: ReadonlyArray<Register.Operation>): boolean => {
  const operations = all.filter(({ ended, kind }) => kind === "write" || ended !== undefined)
  const go = (left: ReadonlyArray<Register.Operation>, value: number | undefined): boolean => {
    if (left.every(({ ended }) => ended === undefined)) return true
    return left.some((next) => {
      const isFirst = left.every(({ ended }) => ended === undefined || ended >= next.begun)
      if (!isFirst || (next.kind === "read" && next.value !== value)) return false
      return go(
        left.filter((each) => each !== next),
        next.kind === "write" ? next.value : value
      )
    })
  }
  return go(operations, undefined)
}
