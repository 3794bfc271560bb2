/** What opening and closing do: one identity for ever, one opener at a time, nothing half done. */
import { assert } from "@effect/vitest"
import { ReplicaId } from "@quorum/core"
import { EntryBatch, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Exit, Fiber, Result } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { StorePlace } from "../../StorePlace.ts"
import { head, held, pieces, range, source, texts } from "../entries.ts"
import { within } from "../waiting.ts"
import { logA, open, owner, using } from "./rig.ts"

const all = source(logA, 12)

const failsWith = <A, R>(
  effect: Effect.Effect<A, unknown, R>,
  reason: ReplicaStore.StoreError["reason"]
): Effect.Effect<void, never, R> =>
  Effect.map(Effect.result(effect), (result) => {
    assert(Result.isFailure(result), `it has to fail as ${reason}`)
    assert.instanceOf(result.failure, ReplicaStore.StoreError)
    const error = result.failure as ReplicaStore.StoreError
    assert.strictEqual(error.reason, reason)
    assert.isNotEmpty(error.detail, "a detail says what to do")
  })

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "identity and incarnation stay the same over a reopen",
    Effect.gen(function* () {
      const created = yield* using(({ store }) => Effect.succeed(store.identity))
      assert.strictEqual(created.cluster, owner.cluster)
      assert.strictEqual(created.replica, owner.replica)
      assert.match(created.incarnation, /^[0-9a-f]{16}$/)
      yield* using(({ store }) => store.append(all))
      yield* using(({ store }) => Effect.sync(() => assert.deepStrictEqual(store.identity, created)))
    })
  ),

  Conformance.make(
    "opened for another replica or replica set it fails as wrong_identity, and stays as it was",
    Effect.gen(function* () {
      const { identity } = yield* using(({ store }) => Effect.as(store.append(all), store))
      yield* failsWith(open({ ...owner, replica: ReplicaId.make("b") }), "wrong_identity")
      yield* failsWith(open({ ...owner, cluster: "another" }), "wrong_identity")
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(store.identity, identity)
          assert.deepStrictEqual(yield* held(store, logA), texts(all))
        })
      )
    })
  ),

  Conformance.make(
    "a second open fails as locked while the first goes on, and succeeds when the first is closed",
    Effect.gen(function* () {
      const { close, store } = yield* open()
      yield* failsWith(open(), "locked")
      yield* store.append(all)
      yield* failsWith(open(), "locked")
      assert.deepStrictEqual(yield* held(store, logA), texts(all))
      yield* close
      yield* using(({ store }) => Effect.map(held(store, logA), (found) => assert.deepStrictEqual(found, texts(all))))
    })
  ),

  Conformance.make(
    "a call after it was closed fails as unavailable",
    Effect.gen(function* () {
      const { close, store } = yield* open()
      yield* store.append(range(all, 1, 3))
      yield* close
      yield* failsWith(store.append(range(all, 4, 5)), "unavailable")
      yield* failsWith(store.read(logA, 0, 1024), "unavailable")
      yield* failsWith(store.chainAt(logA, 1), "unavailable")
      yield* failsWith(store.watermarks, "unavailable")
      yield* using(({ store }) =>
        Effect.map(held(store, logA), (found) => assert.deepStrictEqual(found, texts(range(all, 1, 3))))
      )
    })
  ),

  Conformance.make(
    "closed while it is busy, every append ends, and what was acked is held by the next open",
    Effect.gen(function* () {
      const long = source(logA, 300)
      const batches = pieces(long, 3)
      const { close, store } = yield* open()
      const appends = yield* Effect.forEach(batches, (batch) =>
        Effect.forkChild(Effect.result(store.append(batch)), { startImmediately: false })
      )
      // Some have begun when it closes, others have not.
      yield* Effect.yieldNow
      yield* within("closing while busy")(close)
      const exits = yield* within("the appends under way")(Effect.forEach(appends, Fiber.await))
      let acked = 0
      for (const [i, exit] of exits.entries()) {
        assert(Exit.isSuccess(exit), "an append may fail, and may not be a defect or be interrupted")
        const result = exit.value
        if (Result.isSuccess(result)) acked = Math.max(acked, EntryBatch.last(batches[i]!))
        else assert.include(["AppendGap", "StoreError"], result.failure._tag)
      }
      yield* using(({ store }) =>
        Effect.gen(function* () {
          const { seq } = yield* head(store, logA)
          assert.isAtLeast(seq, acked, "what was acked is lost")
          assert.strictEqual(seq % 3, 0, "a batch is held in part")
          assert.deepStrictEqual(yield* held(store, logA), seq === 0 ? [] : texts(range(long, 1, seq)))
        })
      )
    })
  )
]
