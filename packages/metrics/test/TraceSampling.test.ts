import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random, Tracer } from "effect"
import { TraceSampling } from "../src/index.ts"

/** Makes spans by a tracer that samples a share, and says which were sampled. */
const sampled = (share: number, make: Effect.Effect<ReadonlyArray<Tracer.Span>>) =>
  Effect.map(make, (spans) => spans.map((span) => span.sampled)).pipe(
    Effect.provide(
      TraceSampling.layer(share).pipe(
        Layer.provide(Layer.succeed(Tracer.Tracer, { span: (options) => new Tracer.NativeSpan(options) }))
      )
    ),
    Random.withSeed("a share")
  )

const roots = (count: number) =>
  Effect.all(Array.from({ length: count }, () => Effect.makeSpan("root", { root: true })))

describe("TraceSampling", () => {
  it.effect("samples its share of the roots", () =>
    Effect.gen(function* () {
      const all = yield* sampled(0.25, roots(4000))
      const share = all.filter((is) => is).length / all.length
      assert.approximately(share, 0.25, 0.02)
      assert.isTrue((yield* sampled(1, roots(500))).every((is) => is))
      assert.isFalse((yield* sampled(0, roots(500))).some((is) => is))
    })
  )

  it.effect("leaves the rest of a trace to what was decided at its root, here or elsewhere", () =>
    Effect.gen(function* () {
      const children = (parent: Tracer.AnySpan) =>
        Effect.all(Array.from({ length: 100 }, () => Effect.makeSpan("child", { parent })))
      const remote = (sampled: boolean) =>
        Tracer.externalSpan({ traceId: "1".repeat(32), spanId: "2".repeat(16), sampled })
      assert.isTrue((yield* sampled(0, children(remote(true)))).every((is) => is))
      assert.isFalse((yield* sampled(1, children(remote(false)))).some((is) => is))
    })
  )

  it.effect("samples no root that its maker did not want", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* sampled(1, Effect.all([Effect.makeSpan("root", { root: true, sampled: false })])), [
        false
      ])
    })
  )

  it("refuses what is no share", () => {
    for (const share of [-0.01, 1.01, Number.NaN]) assert.throws(() => TraceSampling.layer(share), RangeError)
  })
})
