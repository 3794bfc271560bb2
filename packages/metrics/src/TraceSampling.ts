/**
 * Samples a share of the traces. It is decided once, at the root of a trace, and whatever follows on any replica keeps to
 * it.
 */
import { Effect, Layer, Option, Random, Tracer } from "effect"

/**
 * Decides for the tracer in context: `Layer.provide(TraceSampling.layer(0.01))` around what makes spans, and the tracer
 * around that. Throws at a share that is not from 0 to 1. An OpenTelemetry SDK has samplers of its own.
 */
export const layer = (share: number): Layer.Layer<never> => {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`a share of the traces is from 0 to 1, not ${share}`)
  return Layer.effect(
    Tracer.Tracer,
    Effect.gen(function* () {
      const inner = yield* Tracer.Tracer
      const random = yield* Random.Random
      const isLeftOut = ({ parent, sampled }: Parameters<Tracer.Tracer["span"]>[0]): boolean =>
        sampled && Option.isNone(parent) && random.nextDoubleUnsafe() >= share
      return Tracer.make({
        span: (options) => inner.span(isLeftOut(options) ? { ...options, sampled: false } : options),
        context: inner.context
      })
    })
  )
}
