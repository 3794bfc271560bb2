/** What the cases about broken connections share. */
import { assert } from "@effect/vitest"
import { PeerProtocol, type Watermark } from "@quorum/core/adapter"
import { Cause, Effect, Exit, Latch, Option } from "effect"
import * as FaultyReplicaStore from "../../FaultyReplicaStore.ts"
import { until } from "../waiting.ts"

/** The error of a call that nobody may have answered. */
export const unreachable = (exit: Exit.Exit<unknown, unknown>): PeerProtocol.PeerUnreachable => {
  assert(Exit.isFailure(exit), "it was answered")
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  assert.instanceOf(error, PeerProtocol.PeerUnreachable)
  return error as PeerProtocol.PeerUnreachable
}

/** A push that waits for the peer's disk, and the latch that lets the disk go on. */
export const pushOnSlowDisk = Effect.fnUntraced(function* <E>(
  faults: FaultyReplicaStore.StoreFaults,
  push: Effect.Effect<Watermark.Watermark, E>
) {
  const disk = Latch.makeUnsafe()
  const before = faults.count("SlowDisk")
  faults.inject(FaultyReplicaStore.slowDiskUntil(disk.await))
  yield* Effect.addFinalizer(() => disk.open)
  const fiber = yield* Effect.forkChild(push, { startImmediately: true })
  yield* until("the store was asked", () => faults.count("SlowDisk") === before + 1)
  return { disk, fiber }
})
