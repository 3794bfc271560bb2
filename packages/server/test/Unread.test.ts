/** Answers whose clients stop reading them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Unread from "../src/tools/Unread.ts"

describe("an answer in pieces", () => {
  it.effect("ends when nothing of it was taken for a minute, and not while its client is slow", () =>
    Effect.gen(function* () {
      let ended = 0
      const end = Effect.sync(() => void ended++)
      const pieces = yield* Unread.watched(Stream.range(1, 10), end)
      yield* Effect.forkChild(Stream.runForEach(pieces, (piece) => Effect.sleep(piece < 5 ? "50 seconds" : "1 day")))
      // The fifth comes after 200 seconds.
      yield* TestClock.adjust("259 seconds")
      assert.strictEqual(ended, 0)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(ended, 1)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(ended, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("is not looked at any more when it is over", () =>
    Effect.gen(function* () {
      let isEnded = false
      const end = Effect.sync(() => void (isEnded = true))
      yield* Effect.scoped(Effect.flatMap(Unread.watched(Stream.range(1, 10), end), Stream.runDrain))
      yield* TestClock.adjust("1 hour")
      assert.isFalse(isEnded)
    })
  )
})
