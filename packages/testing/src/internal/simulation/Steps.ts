/**
 * Writes that are followed step by step: durable at their replica, committed or not, and then whoever else holds them.
 */
import type { QuorumError, Receipt, ReplicaId } from "@quorum/core"
import { Deferred, Effect, Fiber, Stream } from "effect"
import type { World } from "./World.ts"

/** What became of a write, once its steps have ended, or have for a while. What may not come in that order is said. */
export const outcomeOf = Effect.fnUntraced(function* <E>(
  world: World,
  steps: Stream.Stream<Receipt.Progress, E>
): Effect.fn.Return<Receipt.Receipt, E | QuorumError.QuorumNotMet> {
  const wrong = (what: string): void => world.violated("DecisionIsFinal", `the steps of a write: ${what}`)
  let isDurable = false
  let isDecided = false
  const outcome = Deferred.makeUnsafe<Receipt.Receipt, E | QuorumError.QuorumNotMet>()
  const told = new Set<ReplicaId.ReplicaId>()
  const look = (step: Receipt.Progress): unknown => {
    if (step._tag === "Durable") {
      if (isDurable || isDecided) wrong("it is durable once more, or after its outcome")
      isDurable = true
      return
    }
    if (step._tag === "Held") {
      if (!isDecided || told.has(step.replica)) wrong(`${step.replica} holds it once more, or before its outcome`)
      told.add(step.replica)
      return
    }
    if (isDecided) wrong("it has two outcomes")
    isDecided = true
    if (step._tag === "NotMet") return Deferred.doneUnsafe(outcome, Effect.fail(step.error))
    for (const { replica } of step.receipt.acked) told.add(replica)
    Deferred.doneUnsafe(outcome, Effect.succeed(step.receipt))
  }
  const all = Effect.onError(
    Stream.runForEach(steps, (step) => Effect.sync(() => look(step))),
    (cause) => Deferred.failCause(outcome, cause)
  )
  const following = yield* Effect.forkDetach(all)
  const end = Fiber.interrupt(following)
  const receipt = yield* Effect.onInterrupt(Deferred.await(outcome), () => end)
  // Some replica may never hold it.
  yield* Effect.forkDetach(Effect.andThen(Effect.sleep(followedMillis), end))
  return receipt
})

// ---------------------------------------------------------------------------------------------------------------------

/** How long a committed write is followed, in milliseconds. */
const followedMillis = 12_000
