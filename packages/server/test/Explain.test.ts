import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as Explain from "../src/Explain.ts"
import * as Program from "./support/program.ts"

const Size = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))

/** All sets of so many of n replicas, as bits. */
const sets = (n: number, size: number): ReadonlyArray<number> =>
  Array.from({ length: 2 ** n }, (_, set) => set).filter((set) => countOf(set) === size)

const countOf = (set: number): number => set.toString(2).replaceAll("0", "").length

const explained = (question: Explain.Question) => Result.getOrThrow(Explain.explain(question))

describe("what a policy survives", () => {
  it.prop("is what trying every set of failed replicas says", [Size, Size, Size], ([n, w, r]) => {
    if (w > n || r > n) return
    const { majority, rows } = explained({ n, w, r })
    for (const { both, down, kept, linearizableReads, localReads, quorumReads, replaced, writes } of rows) {
      const all = 2 ** n - 1
      const always = (holds: (left: number) => boolean) => sets(n, down).every((gone) => holds(all & ~gone))
      const finds = (size: number) => always((left) => sets(n, size).some((set) => (set & left) === set))
      assert.strictEqual(writes, finds(w))
      assert.strictEqual(quorumReads, finds(r))
      assert.strictEqual(linearizableReads, finds(majority))
      assert.strictEqual(localReads, finds(1))
      assert.strictEqual(both, finds(w) && finds(majority))
      // Whichever w replicas acknowledged it, one that is left holds it.
      assert.strictEqual(
        kept,
        always((left) => sets(n, w).every((holders) => (holders & left) !== 0))
      )
      // Those that are left meet every majority that acknowledged something.
      assert.strictEqual(
        replaced,
        always((left) => sets(n, majority).every((holders) => (holders & left) !== 0))
      )
    }
  })

  it.prop("says of quorum reads whether every one of them meets every write", [Size, Size, Size], ([n, w, r]) => {
    if (w > n || r > n) return
    const meets = sets(n, w).every((holders) => sets(n, r).every((asked) => (holders & asked) !== 0))
    const said = explained({ n, w, r }).notes.some((note) => note.includes("sees every acknowledged write"))
    assert.strictEqual(said, meets)
  })

  it("is less with every replica more that fails", () => {
    for (let n = 1; n <= 9; n++) {
      for (let w = 1; w <= n; w++) {
        const { rows } = explained({ n, w })
        for (const name of ["writes", "quorumReads", "both", "kept", "replaced"] as const) {
          const held = rows.map((row) => row[name])
          assert.deepStrictEqual(held, held.toSorted().reverse(), `${w}/${n} ${name}`)
        }
      }
    }
  })

  it("names zones, of which each is as large as what is in it", () => {
    const { rows } = explained({ n: 3, w: 2, zones: { a: "x", b: "x", c: "y" } })
    const of = (failure: string) => rows.find((row) => row.failure === failure)
    assert.deepInclude(of("zone x (2)"), { down: 2, writes: false, kept: false })
    assert.deepInclude(of("zone y (1)"), { down: 1, writes: true, kept: true })
    assert.deepInclude(of("zone x and any 1 replica"), { down: 3, localReads: false })
  })

  it("is refused by the field that makes no sense", () => {
    for (const [question, field] of [
      [{ n: 0, w: 1 }, "replicas"],
      [{ n: 3, w: 4 }, "policy"],
      [{ n: 3, w: 1.5 }, "policy"],
      [{ n: 3, w: 2, r: 0 }, "r"],
      [{ n: 3, w: 2, zones: { a: "x" } }, "zones"]
    ] as const) {
      const read = Explain.explain(question)
      assert.strictEqual(Result.isFailure(read) ? read.failure.field : undefined, field)
    }
  })
})

describe("quorum explain", () => {
  const timeout = 120_000

  it.live(
    "prints a table, and JSON for programs",
    () =>
      Effect.gen(function* () {
        const table = yield* Program.outcome(["explain", "2/3", "--zones", "a=x,b=x,c=y"])
        assert.strictEqual(table.code, 0)
        assert.include(table.stdout, "2 of 3 replicas hold a write")
        assert.match(table.stdout, /^any 1 replica +yes +yes +yes +yes +yes +yes +yes$/m)
        assert.match(table.stdout, /^zone x \(2\) +no +yes +no/m)
        const json = yield* Program.outcome(["explain", "all-but-1", "--replicas", "5", "--json"])
        assert.deepInclude(JSON.parse(json.stdout), { n: 5, w: 4, majority: 3 })
      }),
    timeout
  )

  it.live(
    "ends with exit code 2 where it does not understand",
    () =>
      Effect.gen(function* () {
        for (const [flags, said] of [
          [["some"], "policy: expected majority, all, one"],
          [["4", "--replicas", "3"], "policy: expected 1 to 3"],
          [["2/3", "--replicas", "5"], "--replicas: 5, and the policy says 3"],
          [["2", "--zones", "a"], "--zones: expected a=ZONE"]
        ] as const) {
          const { code, stderr } = yield* Program.outcome(["explain", ...flags])
          assert.strictEqual(code, 2)
          assert.include(stderr, said)
        }
      }),
    timeout
  )
})
