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

/** A page of records, or of their keys alone: of those nothing is known but that they are there. */
interface Listed extends Records.KeysPage {
  readonly records: ReadonlyArray<Records.Record>
  readonly damaged: ReadonlyArray<{ readonly key: string }>
}

/** Asks a replica for a page of the records among which a key is, and perhaps for more of them. Whether it answered. */
export const page = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  client: number,
  at: ReplicaId.ReplicaId,
  key: string,
  dice: Dice,
  options: { readonly keys: number; readonly listings?: number },
  carried: CarriedSession.Carried
) {
  const { keys, listings } = options
  const namespace = History.namespaceOf(key)
  let wanted: PagesInOrder.Asked = {
    namespace,
    limit: dice.pick([1, 2, 5, 100]),
    reverse: dice.chance(0.3),
    after: dice.chance(0.5) ? key : undefined
  }
  const isOfKeys = listings !== undefined && dice.chance(listings)
  while (true) {
    const page = yield* one(world, history, client, at, key, keys, wanted, isOfKeys, carried)
    if (page === undefined) return false
    if (page.last === undefined || listings === undefined || !dice.chance(listings)) return true
    yield* Effect.sleep(dice.wait(50))
    wanted = { ...wanted, after: page.last }
  }
})

/** One page; nothing when it was not answered. */
const one = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  client: number,
  at: ReplicaId.ReplicaId,
  key: string,
  keys: number,
  wanted: PagesInOrder.Asked,
  isOfKeys: boolean,
  carried: CarriedSession.Carried
) {
  const { after, limit, namespace, reverse } = wanted
  const { session } = carried
  const asked = { client, kind: "read", at, w: 0, consistency: "local", session } as const
  const askedAt = world.timeline.now()
  const where = `${limit} of ${namespace} at ${at}${after === undefined ? "" : `, after ${after}`}`
  world.say(`client ${client}`, `lists ${isOfKeys ? "keys, " : ""}${where}${reverse ? ", backwards" : ""}`)
  const options = {
    namespace,
    limit,
    reverse,
    ...(after === undefined ? {} : { after: { namespace, key: after } }),
    ...(session === undefined ? {} : { session: session.value })
  }
  const listed = Effect.flatMap(Records.Records, (records) =>
    isOfKeys
      ? Effect.map(records.keys(options), (page): Listed => ({ ...page, records: [], damaged: page.keys }))
      : Effect.map(records.page(options), (page): Listed => ({ ...page, keys: page.records }))
  )
  const result = yield* Effect.result(Effect.timeoutOption(world.at(at, listed), patienceMillis))
  if (Result.isFailure(result) || Option.isNone(result.success)) {
    const operation = history.ask({ ...asked, key }, askedAt)
    if (Result.isFailure(result)) answerFailure(history, operation, result.failure)
    else history.answer(operation, "Silent")
    CarriedSession.failed(carried, client, operation)
    return undefined
  }
  const { damaged, keys: shown, next, records, unreadable } = result.success.value
  const last = Option.getOrUndefined(next)?.key
  // Who holds entries of which nobody knows the keys says so, and may lack any.
  if (unreadable.length > 0) return { last }
  PagesInOrder.onPage(
    world,
    at,
    wanted,
    last,
    shown.map((each) => each.key)
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
  return { last }
})
