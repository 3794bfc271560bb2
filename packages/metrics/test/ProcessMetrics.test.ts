import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric } from "effect"
import { TestClock } from "effect/testing"
import { Prometheus } from "../src/index.ts"
import { ProcessMetrics } from "../src/node.ts"
import { valueIn } from "./support/replicas.ts"

/** Lets timers of the process be due, some times. */
const ticks = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))

const block = (millis: number) =>
  Effect.sync(() => {
    for (const until = performance.now() + millis; performance.now() < until;);
  })

describe("ProcessMetrics", () => {
  it.effect("shows how late timers were for a minute at least, and for no more than two", () =>
    Effect.gen(function* () {
      yield* Layer.build(ProcessMetrics.layer({ folder: "." }))
      const context = yield* Effect.context<never>()
      const worst = () => valueIn(Prometheus.format(context), "nodejs_eventloop_delay_max_seconds", {})!
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("59 seconds")
      yield* ticks
      yield* block(1000)
      yield* ticks
      assert.isAbove(worst(), 0.9)
      // Once a window has ended, and until what is shown began after it.
      yield* TestClock.adjust("2 seconds")
      assert.isAbove(worst(), 0.9)
      yield* TestClock.adjust("58 seconds")
      assert.isAbove(worst(), 0.9)
      yield* TestClock.adjust("1 minute")
      assert.isBelow(worst(), 0.9)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})
