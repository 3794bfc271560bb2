/** Whoever is interrupted between any two steps of what it does leaves nothing behind that others wait for. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"
import { Entry } from "../src/index.ts"
import * as Arrivals from "../src/peer/internal/Arrivals.ts"
import * as OneAtATime from "../src/peer/internal/OneAtATime.ts"
import * as Cluster from "./support/cluster.ts"
import { during, pass } from "./support/time.ts"

/** Has fibers let others have their turn after so few steps. After fewer than three they get nowhere. */
const paced = (steps: number) => Effect.provideService(Scheduler.MaxOpsBeforeYield, steps)

/** Runs an effect until others have their turn so many times, and interrupts it. */
const interrupted = Effect.fnUntraced(function* <A, E>(effect: Effect.Effect<A, E>, turns: number) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  for (let i = 0; i < turns; i++) yield* Effect.yieldNow
  yield* Fiber.interrupt(fiber)
})

/** A step that is counted. */
const step = Effect.sync(() => undefined)

/** Interrupts an effect after each of its first steps, and looks at what is left each time. */
const afterEachStep = Effect.fnUntraced(function* <A, E>(
  effect: Effect.Effect<A, E>,
  look: (name: string) => Effect.Effect<void>
) {
  const steps = 8
  for (let before = 0; before < steps; before++) {
    const late = Effect.gen(function* () {
      for (let i = 0; i < before; i++) yield* step
      return yield* effect
    })
    for (let turns = 0; turns < 4; turns++) {
      yield* interrupted(paced(steps)(late), turns)
      yield* look(`${before} steps before it, ${turns} turns`)
    }
  }
})

describe("Interrupted", () => {
  it.effect("what is done one at a time can be done again, however the one before ended", () => {
    const once = OneAtATime.make<string>()
    const again = once("a log", Effect.succeed("done"))
    return Effect.gen(function* () {
      const first = yield* Effect.forkChild(once("a log", Effect.never), { startImmediately: true })
      assert.isUndefined(yield* again)
      assert.strictEqual(yield* once("another", Effect.succeed("done")), "done")
      yield* Fiber.interrupt(first)
      assert.strictEqual(yield* again, "done")
      yield* Effect.flip(once("a log", Effect.fail("broken")))
      yield* afterEachStep(once("a log", Effect.never), (name) =>
        Effect.map(again, (said) => assert.strictEqual(said, "done", name))
      )
    })
  })

  it.effect("what came from a peer is under way no more", () => {
    const arrivals = Arrivals.make()
    return afterEachStep(
      arrivals.receive(() => false, Effect.never),
      (name) =>
        Effect.sync(() => {
          arrivals.onNewLife()
          assert.isFalse(arrivals.hasStragglers(), name)
        })
    )
  })

  it.effect("a write under a key of its caller lets the next one have its turn, here and at another replica", () =>
    Effect.gen(function* () {
      for (let steps = 5; steps <= 10; steps++) {
        const { a, b } = yield* paced(steps)(Cluster.running("abc", 2))
        yield* pass(2000)
        for (let turns = 0; turns < 4; turns++) {
          const key = `${steps} steps, ${turns} turns`
          const commit = ({ writer }: Cluster.Running) =>
            writer.commit(Entry.put("n", key, "v"), { idempotencyKey: `${steps}-${turns}` })
          yield* interrupted(commit(a), turns)
          yield* pass(20)
          const { writeId } = yield* during(commit(b), 500)
          assert.strictEqual((yield* during(commit(a), 500)).writeId, writeId, key)
        }
        assert.strictEqual(a.writer.waiting(), 0)
      }
    })
  )
})
