import { assert, describe, it } from "@effect/vitest"
import { Faults } from "../src/index.ts"

type Fault = { readonly _tag: "A" } | { readonly _tag: "B" }
const A: Fault = { _tag: "A" }
const B: Fault = { _tag: "B" }

const draw = (plan: Faults.Plan<unknown, Fault>, count: number) =>
  Array.from({ length: count }, () => plan(undefined)?._tag ?? "-").join("")

describe("Faults", () => {
  it("nothing goes wrong unless it is asked for", () => {
    const faults = Faults.make<string, Fault>()
    assert.isUndefined(faults.decide("x"))
    assert.strictEqual(faults.counts().size, 0)
  })

  it("what is injected happens to the next calls that fit, in order, so many times", () => {
    const faults = Faults.make<string, Fault>()
    faults.inject(A, { when: (call) => call === "x" })
    faults.inject(B, { times: 2 })
    assert.deepStrictEqual(
      ["y", "x", "y", "x"].map((call) => faults.decide(call)),
      [B, A, B, undefined]
    )
  })

  it("what is injected comes before the plan, and stop ends both", () => {
    const faults = Faults.make<string, Fault>(() => A)
    faults.inject(B)
    assert.deepStrictEqual([faults.decide("x"), faults.decide("x")], [B, A])
    faults.follow(() => B)
    assert.strictEqual(faults.decide("x"), B)
    faults.inject(A)
    faults.stop()
    assert.isUndefined(faults.decide("x"))
  })

  it("a fault is counted when it has happened, not when it was asked for", () => {
    const faults = Faults.make<string, Fault>()
    faults.inject(A)
    faults.decide("x")
    assert.strictEqual(faults.count("A"), 0)
    faults.happened("A")
    assert.strictEqual(faults.count("A"), 1)
    assert.deepStrictEqual(faults.counts(), new Map([["A", 1]]))
  })

  it("a seeded plan gives the same faults for the same seed, each about as often as its chance", () => {
    const plan = () =>
      Faults.seeded<Fault>(7, [
        [0.1, A],
        [0.3, B]
      ])
    const drawn = draw(plan(), 5000)
    assert.strictEqual(draw(plan(), 5000), drawn)
    assert.notStrictEqual(draw(Faults.seeded<Fault>(8, [[0.4, A]]), 100), drawn.slice(0, 100))
    const share = (letter: string) => drawn.split(letter).length / 5000
    assert.closeTo(share("A"), 0.1, 0.02)
    assert.closeTo(share("B"), 0.3, 0.03)
  })
})
