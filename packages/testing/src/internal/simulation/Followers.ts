/**
 * Readers of the changes: each follows a replica for a while, goes on at another one from the position of the last page
 * that has reached it, and begins anew when it is told that what it has seen did not last.
 */
import { Changes, Records, type ReplicaId } from "@quorum/core"
import { Effect, Option, Result, Schema, Stream } from "effect"
import { patienceMillis } from "./Calls.ts"
import * as ChangesMissNothing from "./checks/ChangesMissNothing.ts"
import type { World } from "./World.ts"

/** A reader. */
export interface Follower {
  readonly name: string
  /** Where it goes on. */
  position: Changes.Vector
  /** What it has seen since it began, or began anew. */
  readonly seen: ChangesMissNothing.Seen
}

/** Readers that have seen nothing yet. */
export const make = (count: number): ReadonlyArray<Follower> =>
  Array.from({ length: count }, (_, i) => ({ name: `follower ${i}`, position: [], seen: new Map() }))

/** Reads on for ever. */
export const follow = Effect.fnUntraced(function* (world: World, follower: Follower) {
  const dice = world.dice(follower.name)
  let home = dice.pick(world.members)
  while (true) {
    yield* Effect.sleep(dice.wait(400))
    const pages = 1 + dice.below(5)
    const isGood = yield* read(world, follower, home, { idleMillis: dice.pick([20, 500]) }, pages)
    if (!isGood || dice.chance(0.1)) home = dice.pick(world.members)
  }
})

/** When all is well, a reader sees all that is held, at any replica, and in bounded time. */
export const end = Effect.fnUntraced(function* (world: World, follower: Follower) {
  const at = world.dice(`end of ${follower.name}`).pick(world.members)
  for (let tries = 0; tries < 20; tries++) {
    if (yield* read(world, follower, at, { until: "now" }, Number.MAX_SAFE_INTEGER)) {
      return ChangesMissNothing.atEnd(world, follower.name, follower.seen)
    }
    yield* Effect.sleep(500)
  }
  world.violated("Liveness", `${at} shows no changes for 10 s without faults`)
})

// ---------------------------------------------------------------------------------------------------------------------

/** Takes some pages of a replica. Returns whether it answered; what did not reach the reader is asked for again. */
const read = Effect.fnUntraced(function* (
  world: World,
  follower: Follower,
  at: ReplicaId.ReplicaId,
  options: Changes.Options,
  pages: number
) {
  const { name, position, seen } = follower
  const ask = Effect.flatMap(Records.Records, (records) =>
    records.changes({ ...options, since: position }).pipe(
      Stream.take(pages),
      Stream.tap((page) => Effect.sync(() => ChangesMissNothing.onShown(world, at, page))),
      Stream.runCollect
    )
  )
  const result = yield* Effect.result(Effect.timeoutOption(world.at(at, ask), patienceMillis))
  if (Result.isFailure(result)) {
    world.say(name, `${at} says: ${result.failure._tag}`)
    if (result.failure._tag === "ChangesForgotten") {
      world.happened("changes_forgotten")
      follower.position = yield* Effect.orDie(Schema.decodeEffect(Changes.Position)(result.failure.position))
      ChangesMissNothing.goesOnFrom(seen, follower.position)
      return true
    }
    if (result.failure._tag !== "WriteReplaced") return false
    follower.position = []
    seen.clear()
    return true
  }
  if (Option.isNone(result.success)) return false
  world.happened("changes_read")
  for (const page of result.success.value) {
    ChangesMissNothing.onPage(world, at, name, seen, page)
    follower.position = page.position
  }
  return true
})
