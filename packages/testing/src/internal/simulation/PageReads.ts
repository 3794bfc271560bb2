/**
 * Reads of many keys at once: each key that a page covers was read, whether the page shows it or not.
 */
import { Records, type ReplicaId } from "@quorum/core"
import { Effect, Option, Result } from "effect"
import * as CarriedSession from "./CarriedSession.ts"
import { answerFailure, patienceMillis } from "./Calls.ts"
import * as PagesInOrder from "./checks/PagesInOrder.ts"
import type { Dice } from "./Dice.ts"
import * as History from "./History.ts"
import type { World } from "./World.ts"

/** Asks a replica for a page of the records among which a key is. Whether it was answered. */
export const page = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  client: number,
  at: ReplicaId.ReplicaId,
  key: string,
  dice: Dice,
  keys: number,
  carried: CarriedSession.Carried
) {
  const namespace = History.namespaceOf(key)
  const wanted: PagesInOrder.Asked = {
    namespace,
    limit: dice.pick([1, 2, 5, 100]),
    reverse: dice.chance(0.3),
    after: dice.chance(0.5) ? key : undefined
  }
  const { after, limit, reverse } = wanted
  const { session } = carried
  const asked = { client, kind: "read", at, w: 0, consistency: "local", session } as const
  const askedAt = world.timeline.now()
  const where = `${limit} of ${namespace} at ${at}${after === undefined ? "" : `, after ${after}`}`
  world.say(`client ${client}`, `lists ${where}${reverse ? ", backwards" : ""}`)
  const listed = Effect.flatMap(Records.Records, (records) =>
    records.page({
      namespace,
      limit,
      reverse,
      ...(after === undefined ? {} : { after: { namespace, key: after } }),
      ...(session === undefined ? {} : { session: session.value })
    })
  )
  const result = yield* Effect.result(Effect.timeoutOption(world.at(at, listed), patienceMillis))
  if (Result.isFailure(result) || Option.isNone(result.success)) {
    const operation = history.ask({ ...asked, key }, askedAt)
    if (Result.isFailure(result)) answerFailure(history, operation, result.failure)
    else history.answer(operation, "Silent")
    CarriedSession.failed(carried, client, operation)
    return false
  }
  const { damaged, next, records, unreadable } = result.success.value
  // Who holds entries of which nobody knows the keys says so, and may lack any.
  if (unreadable.length > 0) return true
  const last = Option.getOrUndefined(next)?.key
  PagesInOrder.onPage(
    world,
    at,
    wanted,
    last,
    records.map((record) => record.key)
  )
  const covered = Array.from({ length: keys }, (_, i) => `${key[0]}${i}`).filter((each) =>
    PagesInOrder.isCovered(wanted, last, each)
  )
  const isDamaged = new Set(damaged.map((record) => record.key))
  const operations = covered.flatMap((each) => {
    if (isDamaged.has(each)) return []
    const record = records.find((one) => one.key === each)
    const value = record === undefined ? undefined : History.textOf(record.value)
    const operation = history.ask({ ...asked, key: each }, askedAt)
    history.answer(operation, "read", { value, writeId: record?.writeId })
    return [operation]
  })
  yield* CarriedSession.extend(world, carried, at, operations, (sessions, session) => sessions.afterPage(session))
  return true
})
