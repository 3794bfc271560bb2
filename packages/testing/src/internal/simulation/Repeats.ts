/**
 * Writes that are committed as often as it takes, under a stamp that was drawn first or a key that their client invents: at
 * several replicas, at once or one after the other, long after they were stamped, and again when they are done.
 */
import { type ClientSession, Entry, QuorumWriter, type ReplicaId } from "@quorum/core"
import { Effect, Option, Result } from "effect"
import { commit as commitAt, nameOf, type Outcome, patienceMillis, type Way } from "./Calls.ts"
import type { Dice } from "./Dice.ts"
import * as History from "./History.ts"
import type { World } from "./World.ts"

/** What one of them asks for. */
export interface Options {
  readonly w?: number
  readonly session?: ClientSession.ClientSession
}

/** How a client goes about it. */
export interface Habits {
  /** How a replica is called the next time. */
  readonly way: () => Way
  /** How long the client waits for it the next time; as long as others unless it is in haste. */
  readonly hasteMillis: () => number | undefined
  /** Whether stamps are drawn for many writes at once. */
  readonly drawsEach: () => boolean
  /** Whether what is committed may be sent again: nobody deletes its mark. */
  readonly keepsMarks: boolean
}

/** Draws a stamp at one replica, and commits with it until there is a receipt, or patience is at its end. */
export const stamped = Effect.fnUntraced(function* (
  world: World,
  dice: Dice,
  at: ReplicaId.ReplicaId,
  writes: Entry.Writes,
  { session, ...asked }: Options,
  holdMillis: number,
  habits: Habits
): Effect.fn.Return<Outcome> {
  const after = session === undefined ? {} : { session }
  const keys = Entry.listOf(writes)
  const isEach = keys.length === 1 && habits.drawsEach()
  const draw = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) =>
    isEach
      ? // The first is for another write that is never made.
        Effect.map(writer.stampEach([keys[0]!, ...keys], after), (stamps) => stamps[1]!)
      : writer.stamp(keys, after)
  )
  const drawn = yield* Effect.result(Effect.timeoutOption(world.at(at, draw), patienceMillis))
  // Whatever came of that: without a stamp nothing can have been written.
  if (Result.isFailure(drawn) || Option.isNone(drawn.success)) return notWritten
  return yield* repeated(world, dice, at, writes, { ...asked, stamp: drawn.success.value }, holdMillis, habits)
})

/** Commits until there is a receipt, or patience is at its end. */
export const repeated = Effect.fnUntraced(function* (
  world: World,
  dice: Dice,
  at: ReplicaId.ReplicaId,
  writes: Entry.Writes,
  options: QuorumWriter.WriteOptions,
  holdMillis: number,
  habits: Habits
): Effect.fn.Return<Outcome> {
  let sent = 0
  // Whoever sends a list again may have made it anew, in another order.
  const send = (place: ReplicaId.ReplicaId) =>
    commitAt(world, place, sent++ % 2 === 0 ? writes : turned(writes), options, habits.way(), habits.hasteMillis())
  if (dice.chance(0.3)) yield* Effect.sleep(dice.wait(holdMillis))
  const outcomes: Array<Outcome> = []
  let home = dice.chance(0.7) ? at : dice.pick(world.members)
  for (let tries = 0; tries < 4 && !outcomes.some(isReceipt); tries++) {
    if (dice.chance(0.2)) {
      const places = [home, dice.pick(world.members)]
      const both = places.map(send)
      outcomes.push(...(yield* Effect.all(both, { concurrency: "unbounded" })))
    } else outcomes.push(yield* send(home))
    home = dice.pick(world.members)
    if (!outcomes.some(isReceipt)) yield* Effect.sleep(dice.wait(200))
  }
  const receipt = outcomes.find(isReceipt)
  if (receipt !== undefined && dice.chance(0.15) && habits.keepsMarks) {
    // The answer was lost on its way to somebody, who asks once more.
    const again = Effect.andThen(Effect.sleep(dice.wait(holdMillis)), send(home))
    yield* Effect.forkChild(again)
  }
  return outcomes.find(isReused) ?? receipt ?? outcomes.find(mayBeWritten) ?? outcomes[0] ?? notWritten
})

// ---------------------------------------------------------------------------------------------------------------------

const turned = (writes: Entry.Writes): Entry.Writes => {
  const [first, ...others] = Array.from(Entry.listOf(writes)).reverse()
  return others.length === 0 ? first! : [first!, ...others]
}

const notWritten: Outcome = { _tag: "Failure", error: { _tag: "NotSent" } }

const isReceipt = (outcome: Outcome): boolean => outcome._tag === "Receipt"

/** Its key is that of another write: so it is said when it was not written itself, and never will be. */
const isReused = (outcome: Outcome): boolean =>
  outcome._tag === "Failure" && outcome.error._tag === "IdempotencyKeyReused"

const mayBeWritten = (outcome: Outcome): boolean =>
  outcome._tag === "Silent" || (outcome._tag === "Failure" && !History.nothingWritten.has(nameOf(outcome.error)))
