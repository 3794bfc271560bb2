import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Result } from "effect"
import { ReplicaSet } from "../src/index.ts"

const members = ["a", "b", "c"]

const detailOf = (options: Parameters<typeof ReplicaSet.make>[0]): string => {
  const result = ReplicaSet.make(options)
  assert(Result.isFailure(result), "expected InvalidReplicaSet")
  assert.instanceOf(result.failure, ReplicaSet.InvalidReplicaSet)
  assert.strictEqual(result.failure.message, `invalid replica set: ${result.failure.detail}`)
  return result.failure.detail
}

describe("ReplicaSet", () => {
  it("peers are the members other than self, in their order", () => {
    assert.deepStrictEqual<unknown>(
      ReplicaSet.make({ cluster: "main", self: "b", members }),
      Result.succeed({
        cluster: "main",
        self: "b",
        peers: ["a", "c"]
      })
    )
  })

  it("a replica may be alone", () => {
    const alone = Result.getOrThrow(ReplicaSet.make({ cluster: "main", self: "a", members: ["a"] }))
    assert.deepStrictEqual(alone.peers, [])
  })

  it("ids that differ in case are different replicas", () => {
    const set = Result.getOrThrow(ReplicaSet.make({ cluster: "main", self: "A", members: ["a", "A"] }))
    assert.deepStrictEqual<ReadonlyArray<string>>(set.peers, ["a"])
  })

  it("an empty name is refused, naming the field", () => {
    assert.match(detailOf({ cluster: "", self: "a", members }), /^cluster is empty/)
  })

  it("a name that is no text is refused, naming the field", () => {
    for (const cluster of ["\ud800", "a\udc00b"]) {
      assert.match(detailOf({ cluster, self: "a", members }), /^cluster has half a surrogate pair/)
    }
  })

  it("a member that is no replica id is refused, naming the field and the member", () => {
    for (const wrong of ["", "-a", ".a", "a b", "a@b", "http://a:1", "é", "x".repeat(65)]) {
      assert.strictEqual(
        detailOf({ cluster: "main", self: "a", members: ["a", wrong] }),
        `members: ${JSON.stringify(wrong)} is not a replica id`
      )
    }
  })

  it("L13: a member that is listed twice is refused, naming it", () => {
    assert.strictEqual(detailOf({ cluster: "main", self: "a", members: ["a", "b", "b"] }), "members: b is listed twice")
    assert.strictEqual(detailOf({ cluster: "main", self: "a", members: ["a", "a"] }), "members: a is listed twice")
  })

  it("self has to be one of the members", () => {
    assert.strictEqual(detailOf({ cluster: "main", self: "d", members }), 'self: "d" is not one of the members')
    assert.strictEqual(detailOf({ cluster: "main", self: "a", members: [] }), 'self: "a" is not one of the members')
  })

  it.effect("the layer provides the set, or fails as make does", () =>
    Effect.gen(function* () {
      const set = yield* ReplicaSet.ReplicaSet.pipe(
        Effect.provide(ReplicaSet.layer({ cluster: "main", self: "a", members }))
      )
      assert.deepStrictEqual<ReadonlyArray<string>>(set.peers, ["b", "c"])
      const exit = yield* Effect.exit(Layer.build(ReplicaSet.layer({ cluster: "main", self: "d", members })))
      assert.isTrue(Exit.isFailure(exit))
    })
  )
})
