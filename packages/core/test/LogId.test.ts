import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
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

  it("a write id names its place, and checks what is there", () => {
    const log = LogId.make(ReplicaId.make("a.b-c"), incarnation)
    for (const seq of [1, 9, 10, 123_456, Number.MAX_SAFE_INTEGER]) {
      for (const check of [0, 0xab, 0xffff_ffff]) {
        const id = WriteId.make(log, seq, check)
        assert.isTrue(accepts(WriteId.WriteId, id))
        assert.deepStrictEqual(WriteId.place(id), { log, seq, check })
      }
    }
    assert.strictEqual(WriteId.make(log, 41, 0x5ad3), "a.b-c@9f3c52d0b1e44a07:41.00005ad3")
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
      "a@9f3c52d0b1e44a07:1",
      "a@9f3c52d0b1e44a07:0.00005ad3",
      "a@9f3c52d0b1e44a07:01.00005ad3",
      "a@9f3c52d0b1e44a07:-1.00005ad3",
      "a@9f3c52d0b1e44a07:1.5ad3",
      "a@9f3c52d0b1e44a07:1.00005AD3",
      "a:1"
    ]) {
      assert.isFalse(accepts(WriteId.WriteId, wrong), wrong)
    }
    assert.isFalse(accepts(LogId.Incarnation, "9f3c52d0b1e44a07a"))
    assert.isFalse(accepts(LogId.Sequence, -1))
    assert.isFalse(accepts(LogId.Sequence, 1.5))
  })

  const drawOne = (above?: LogId.Incarnation) => Effect.map(LogId.incarnations, (draw) => draw(above))
  const above = "00000000000affff" as LogId.Incarnation

  it.effect("of two incarnations the later made is the greater, and those of one moment differ", () =>
    Effect.gen(function* () {
      const drawn = yield* Effect.all(Array.from({ length: 100 }, () => drawOne()))
      assert.isAbove(new Set(drawn).size, 90)
      const before = drawn.toSorted().at(-1)!
      yield* TestClock.adjust(1)
      const after = yield* drawOne()
      assert.isTrue(after > before)
      assert.strictEqual(LogId.newer(after, before), after)
      assert.strictEqual(LogId.newer(before, after), after)
      for (const each of drawn) assert.isTrue(accepts(LogId.Incarnation, each), each)
    })
  )

  it("an incarnation begins with its time, and is far above the one that it follows with a loss", () => {
    assert.strictEqual(LogId.incarnationAt(10, 0), "00000000000a0000")
    assert.strictEqual(LogId.incarnationAt(9, 0, above), "00000010000a0000")
    assert.strictEqual(LogId.incarnationAt(0x10000b, 0xffff, above), "00000010000bffff")
    assert.strictEqual(LogId.incarnationAt(2 ** 60, 0), "8000000000000000")
    assert.strictEqual(LogId.incarnationAt(-5, 0), "0000000000000000")
  })

  it("an incarnation after a boot is a small step above, and 65,535 of them do not reach what a loss leaps over", () => {
    assert.strictEqual(LogId.incarnationAfterBoot(above, 0), "00000000000b0000")
    assert.strictEqual(LogId.incarnationAfterBoot(above, 0xf_ffff), "00000000001affff")
    let booted = above
    for (let boots = 1; boots < 65_536; boots++) booted = LogId.incarnationAfterBoot(booted, 0xf_ffff)
    assert.isTrue(booted < LogId.incarnationAt(0, 0, above))
  })

  it("a life goes on from another by some boots, and neither by a loss nor from what comes after it", () => {
    let booted = above
    for (let boots = 1; boots <= 60; boots++) {
      booted = LogId.incarnationAfterBoot(booted, 0xf_ffff)
      assert.isTrue(LogId.goesOn(above, booted))
    }
    assert.isFalse(LogId.goesOn(above, LogId.incarnationAt(0, 0, above)))
    assert.isFalse(LogId.goesOn(booted, above))
    assert.isFalse(LogId.goesOn(above, above))
  })

  for (const [name, drawn] of [
    ["least", 0],
    ["greatest", 1 - 2 ** -53]
  ] as const) {
    it.effect(`the ${name} draw gives a well-formed incarnation`, () =>
      Effect.gen(function* () {
        const found = yield* Effect.provideService(drawOne(), Random.Random, {
          nextDoubleUnsafe: () => drawn,
          nextIntUnsafe: () => 0
        })
        assert.isTrue(accepts(LogId.Incarnation, found), found)
      })
    )
  }

  it.effect("the same seed draws the same incarnation", () =>
    Effect.gen(function* () {
      const first = yield* Random.withSeed(drawOne(), "seed")
      assert.strictEqual(yield* Random.withSeed(drawOne(), "seed"), first)
      assert.notStrictEqual(yield* Random.withSeed(drawOne(), "another"), first)
    })
  )
})
