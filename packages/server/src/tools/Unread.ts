/**
 * An answer that is read piece by piece, and what happens when its client stops reading it: it would keep what the answer
 * holds for as long as it likes.
 */
import { Monotonic } from "@quorum/core/adapter"
import { Clock, Effect, type Scope, Stream } from "effect"

/** How long a client may take nothing of an answer, in milliseconds. */
export const stalledMillis = 60_000

/**
 * The same pieces; `end` is called once when none was asked for in {@link stalledMillis}. It looks until the scope closes, as
 * that of a request does when its answer is over.
 */
export const watched = Effect.fnUntraced(function* <A, E, R, R2>(
  pieces: Stream.Stream<A, E, R>,
  end: Effect.Effect<void, never, R2>
): Effect.fn.Return<Stream.Stream<A, E, R>, never, Scope.Scope | R2> {
  const clock = yield* Clock.Clock
  let taken = Monotonic.millis(clock)
  yield* Effect.gen(function* () {
    for (let left = stalledMillis; left > 0; left = taken + stalledMillis - Monotonic.millis(clock)) {
      yield* Effect.sleep(left)
    }
    yield* end
  }).pipe(Effect.forkScoped)
  return Stream.tap(pieces, () => Effect.sync(() => void (taken = Monotonic.millis(clock))))
})
