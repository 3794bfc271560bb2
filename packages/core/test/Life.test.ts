import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { ReplicaId } from "../src/index.ts"
import { Life } from "../src/adapter.ts"

const [a, b, c] = [ReplicaId.make("a"), ReplicaId.make("b"), ReplicaId.make("c")]
const all = [a, b, c]
const life = (incarnation: number, starts = 0, run = 1): Life.Life =>
  Schema.decodeUnknownSync(Life.Life)({
    incarnation: incarnation.toString(16).padStart(16, "0"),
    run: run.toString(16).padStart(16, "0"),
    starts,
    startedAt: 0
  })

/** Few lives, so that two often meet. */
const few = Arbitrary.schema(Schema.Array(Schema.Tuple([Schema.Literals([1, 2]), Schema.Literals([1, 2])])))
const livesOf = (drawn: ReadonlyArray<readonly [number, number]>): Life.Lives =>
  Object.fromEntries(drawn.slice(0, 3).map(([incarnation, starts], i) => [all[i]!, life(incarnation, starts)]))

describe("Life", () => {
  it("is older by its incarnation first, then by the starts of its store, then by the run", () => {
    const inOrder = [life(1, 5, 9), life(2, 3, 9), life(2, 4, 1), life(2, 4, 2)]
    for (const [i, x] of inOrder.entries()) {
      for (const [j, y] of inOrder.entries()) assert.strictEqual(Math.sign(Life.compare(x, y)), Math.sign(i - j))
    }
  })

  it("of two that are known the newer stays, of members only, and nothing new is the same value", () => {
    const known = { a: life(1), b: life(3) } as Life.Lives
    const merged = Life.merge(known, { a: life(2), b: life(2), c: life(1), z: life(9) } as Life.Lives, all)
    assert.deepStrictEqual(merged, { a: life(2), b: life(3), c: life(1) } as Life.Lives)
    assert.strictEqual(Life.merge(merged, known, all), merged)
    const odd = ReplicaId.make("constructor")
    assert.strictEqual(Life.merge(known, {}, [odd]), known)
    assert.isUndefined(Life.of({}, odd))
  })

  it.prop("who heard the same lives knows the same, in whatever order", { x: few, y: few, z: few }, (drawn) => {
    const [x, y, z] = [livesOf(drawn.x), livesOf(drawn.y), livesOf(drawn.z)]
    const one = [x, y, z].reduce((known, heard) => Life.merge(known, heard, all), {})
    const other = [z, x, y].reduce((known, heard) => Life.merge(known, heard, all), {})
    assert.deepStrictEqual(one, other)
    assert.strictEqual(Life.hash(one), Life.hash(other))
  })

  it("has a hash that differs when an incarnation or a member does, and not when only a run does", () => {
    const known = { a: life(1), b: life(2) } as Life.Lives
    for (const other of [{ a: life(2), b: life(2) }, { a: life(1) }, { b: life(1), c: life(2) }, {}]) {
      assert.notStrictEqual(Life.hash(other as Life.Lives), Life.hash(known))
    }
    assert.strictEqual(Life.hash({ b: life(2, 7, 7), a: life(1, 8, 8) } as Life.Lives), Life.hash(known))
  })
})
