import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Conformance, RecordIndexConformance, ReplicaStoreConformance, TransportConformance } from "../src/index.ts"

const cases = ["one", "two"].map((name) => Conformance.make<never>(name, Effect.void))
const problems = (...skips: ReadonlyArray<readonly [name: string, reason: string]>) =>
  Conformance.checkSkips(
    cases,
    skips.map(([name, reason]) => ({ case: name, reason }))
  )

describe("Conformance", () => {
  it("a skipped case with a reason is in order", () => {
    assert.deepStrictEqual(problems(["one", "it has no disk"]), [])
  })

  it("a name that is no case's is an error, so that it cannot select nothing and pass", () => {
    assert.deepStrictEqual(problems(["on", "it has no disk"]), ['there is no case "on"'])
    assert.throws(
      () => Conformance.register("a store", cases, Layer.empty, { skip: [{ case: "on", reason: "x" }] }),
      'a store: there is no case "on"'
    )
  })

  it("a case that is skipped without a reason, or twice, is an error", () => {
    assert.deepStrictEqual(problems(["one", " "]), ['the case "one" is skipped without a reason'])
    assert.deepStrictEqual(problems(["one", "x"], ["one", "y"]), ['the case "one" is skipped twice'])
  })

  it("a suite of which no case is left is an error", () => {
    assert.deepStrictEqual(problems(["one", "x"], ["two", "x"]), ["no case is left"])
  })

  for (const [suite, { cases }] of Object.entries({
    RecordIndexConformance,
    ReplicaStoreConformance,
    TransportConformance
  })) {
    it(`${suite}: the names of the cases are distinct lower-case sentences`, () => {
      const names = cases.map(({ name }) => name)
      assert.strictEqual(new Set(names).size, names.length)
      for (const name of names) assert.match(name, /^(?:L\d+ )*[a-z].* .*[^.]$/)
    })
  }
})
