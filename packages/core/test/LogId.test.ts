import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Result, Schema } from "effect"
import { LogId, WriteId, ReplicaId } from "../src/index.ts"

const incarnation = "9f3c52d0b1e44a07" as LogId.Incarnation
const accepts = (schema: Schema.ConstraintDecoder<unknown>, input: unknown) =>
  Result.isSuccess(Schema.decodeUnknownResult(schema)(input))

describe("Log", () => {
  it("a log is named by its replica and the incarnation of its store", () => {
    const log = LogId.make(ReplicaId.make("a"), incarnation)
    assert.strictEqual(log, "a@9f3c52d0b1e44a07")
    assert.isTrue(accepts(LogId.LogId, log))
  })

  it("the owner of a log is read from its name", () => {
    for (const name of ["a", "Replica-7.eu_west", "x".repeat(64)]) {
      const replica = ReplicaId.make(name)
      assert.strictEqual(LogId.owner(LogId.make(replica, incarnation)), replica)
    }
  })

  it("a write id names its place", () => {
    const log = LogId.make(ReplicaId.make("a.b-c"), incarnation)
    for (const seq of [1, 9, 10, 123_456, Number.MAX_SAFE_INTEGER]) {
      const id = WriteId.make(log, seq)
      assert.isTrue(accepts(WriteId.WriteId, id))
      assert.deepStrictEqual(WriteId.place(id), { log, seq })
    }
    assert.strictEqual(WriteId.make(log, 41), "a.b-c@9f3c52d0b1e44a07:41")
  })

  it("names that are not of the form are refused", () => {
    for (const wrong of [
      "a",
      "@9f3c52d0b1e44a07",
      "a@",
      "a@9F3C52D0B1E44A07",
      "a@9f3c52d0b1e44a0",
      "a b@9f3c52d0b1e44a07"
    ]) {
      assert.isFalse(accepts(LogId.LogId, wrong), wrong)
    }
    for (const wrong of [
      "a@9f3c52d0b1e44a07",
      "a@9f3c52d0b1e44a07:0",
      "a@9f3c52d0b1e44a07:01",
      "a@9f3c52d0b1e44a07:-1",
      "a:1"
    ]) {
      assert.isFalse(accepts(WriteId.WriteId, wrong), wrong)
    }
    assert.isFalse(accepts(LogId.Incarnation, "9f3c52d0b1e44a07a"))
    assert.isFalse(accepts(LogId.Sequence, -1))
    assert.isFalse(accepts(LogId.Sequence, 1.5))
  })

  it.effect("incarnations differ, in every bit", () =>
    Effect.gen(function* () {
      const drawn = yield* Random.withSeed(
        Effect.all(Array.from({ length: 1000 }, () => LogId.makeIncarnation)),
        "incarnations"
      )
      assert.strictEqual(new Set(drawn).size, 1000)
      const bits = drawn.map((text) => BigInt(`0x${text}`))
      const all = 2n ** 64n - 1n
      assert.strictEqual(
        bits.reduce((a, b) => a | b),
        all
      )
      assert.strictEqual(
        bits.reduce((a, b) => a & b),
        0n
      )
      for (const incarnation of drawn) assert.isTrue(accepts(LogId.Incarnation, incarnation))
    })
  )

  for (const [name, drawn] of [
    ["least", 0],
    ["greatest", 1 - 2 ** -53]
  ] as const) {
    const test = it.effect
    test(`the ${name} draw gives a well-formed incarnation`, () =>
      Effect.gen(function* () {
        const incarnation = yield* Effect.provideService(LogId.makeIncarnation, Random.Random, {
          nextDoubleUnsafe: () => drawn,
          nextIntUnsafe: () => 0
        })
        assert.isTrue(accepts(LogId.Incarnation, incarnation), incarnation)
      }))
  }

  it.effect("the same seed draws the same incarnation", () =>
    Effect.gen(function* () {
      const first = yield* Random.withSeed(LogId.makeIncarnation, "seed")
      assert.strictEqual(yield* Random.withSeed(LogId.makeIncarnation, "seed"), first)
      assert.notStrictEqual(yield* Random.withSeed(LogId.makeIncarnation, "another"), first)
    })
  )
})
