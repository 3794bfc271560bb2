/**
 * Clients that write, delete and read few keys at all replicas, ask again after a failure, and go on elsewhere.
 */
import {
  Entry,
  type Receipt,
  type QuorumError,
  QuorumWriter,
  Records,
  type ReplicaId,
  type WriteId
} from "@quorum/core"
import { Effect, Option, Result } from "effect"
import * as Acks from "./checks/Acks.ts"
import type { Dice } from "./Dice.ts"
import * as History from "./History.ts"
import type { Operation } from "./History.ts"
import type { World } from "./World.ts"

/** How clients behave in a run. */
export interface Options {
  readonly clients: number
  /** What each of them asks. */
  readonly operations: number
  readonly keys: number
  /** The mean time between two operations of a client, in milliseconds. */
  readonly pauseMillis: number
  /** The chance of a read. */
  readonly reads: number
  /** The chance that a write asks for another W than a majority. */
  readonly otherW: number
}

/** A client that asks until it has asked enough. */
export const client = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  number: number,
  options: Options
) {
  const dice = world.dice(`client ${number}`)
  let home = dice.pick(world.members)
  /** The last write that this client knows of. */
  let last: WriteId.WriteId | undefined
  for (let i = 0; i < options.operations; i++) {
    yield* Effect.sleep(dice.wait(options.pauseMillis))
    if (dice.chance(0.1)) home = dice.pick(world.members)
    const key = `k${dice.below(options.keys)}`
    const operation = dice.chance(options.reads)
      ? yield* read(world, history, number, home, key, dice.pick(consistencies), dice.chance(0.3) ? last : undefined)
      : yield* write(world, history, number, home, key, dice, options)
    if (operation.outcome === "receipt") last = operation.writeId
    if (operation.outcome === "QuorumNotMet" && dice.chance(0.6)) {
      yield* resume(world, history, operation, dice.chance(0.7) ? home : dice.pick(world.members))
    }
    if (operation.outcome !== "receipt" && operation.outcome !== "read") home = dice.pick(world.members)
  }
})

/** Writes or deletes a key, or two in one entry, and waits no longer than a client would. */
const write = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  client: number,
  at: ReplicaId.ReplicaId,
  key: string,
  dice: Dice,
  options: Options
) {
  const n = world.members.length
  const asked = dice.chance(options.otherW) ? { w: 1 + dice.below(n) } : {}
  const w = asked.w ?? Math.floor(n / 2) + 1
  const other = `k${dice.below(options.keys)}`
  const keys = dice.chance(0.15) && other !== key ? [key, other] : [key]
  const batch = history.operations.length
  const askedAt = world.timeline.now()
  const operations = keys.map((each) => {
    const value = dice.chance(0.15) ? undefined : `v${history.operations.length}`
    return history.ask({ client, kind: "write", at, namespace, key: each, value, w, batch }, world.timeline.now())
  })
  const [first, ...rest] = operations.map((each) => writeOf(each))
  const shown = operations.map(({ key, value }) => `${key} = ${value ?? "nothing"}`).join(" and ")
  world.say(`client ${client}`, `writes ${shown} at ${at}, w = ${w}`)
  const commit = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) =>
    Effect.tap(writer.commit(rest.length === 0 ? first! : [first!, ...rest], asked), (receipt) =>
      Effect.sync(() => Acks.onReceipt(world, receipt, askedAt))
    )
  )
  const result = yield* Effect.result(Effect.timeoutOption(world.at(at, commit), patienceMillis))
  for (const operation of operations) {
    if (Result.isFailure(result)) answerFailure(history, operation, result.failure)
    else if (Option.isNone(result.success)) history.answer(operation, "Silent")
    else {
      const { writeId } = result.success.value
      history.answer(operation, "receipt", { ...countedOf(result.success.value), writeId })
    }
    told(world, operation)
  }
  return operations[0]!
})

/** Whom a receipt counts, and how long that took. */
const countedOf = ({ acked }: Receipt.Receipt): Pick<Operation, "acked" | "slowestMillis"> => ({
  acked: acked.map(({ replica }) => replica),
  // The own append may take longer than peers may.
  slowestMillis: Math.max(0, ...acked.map(({ afterMillis, how }) => (how === "self" ? 0 : afterMillis)))
})

const writeOf = ({ key, value }: Operation): Entry.Write =>
  value === undefined ? Entry.remove(namespace, key) : Entry.put(namespace, key, History.bytesOf(value))

/** Waits again for the quorum of a write that missed it. */
const resume = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  { batch, client, w, writeId }: Operation,
  at: ReplicaId.ReplicaId
) {
  world.say(`client ${client}`, `asks ${at} for ${writeId} again`)
  const resume = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) =>
    Effect.tap(writer.resume(writeId!, { w }), (receipt) => Effect.sync(() => Acks.onReceipt(world, receipt, 0)))
  )
  const result = yield* Effect.result(Effect.timeoutOption(world.at(at, resume), patienceMillis))
  if (Result.isFailure(result) || Option.isNone(result.success)) return
  const counted = countedOf(result.success.value)
  for (const operation of history.operations.filter((each) => each.batch === batch)) {
    history.answer(operation, "receipt", counted)
    told(world, operation)
  }
})

/** Reads a key at one replica. */
export const read = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  client: number,
  at: ReplicaId.ReplicaId,
  key: string,
  consistency: Records.Consistency,
  atLeast: WriteId.WriteId | undefined
) {
  const asked = { client, kind: "read", at, namespace, key, w: 0, consistency, atLeast } as const
  const operation = history.ask(asked, world.timeline.now())
  world.say(
    `client ${client}`,
    `reads ${key} at ${at}, ${consistency}${atLeast === undefined ? "" : `, at least ${atLeast}`}`
  )
  const options = { consistency, ...(atLeast === undefined ? {} : { atLeast }) }
  const read = Effect.flatMap(Records.Records, (records) => records.read(namespace, key, options))
  const result = yield* Effect.result(Effect.timeoutOption(world.at(at, read), patienceMillis))
  if (Result.isFailure(result)) answerFailure(history, operation, result.failure)
  else if (Option.isNone(result.success)) history.answer(operation, "Silent")
  else {
    const record = Option.getOrUndefined(result.success.value)
    const value = record === undefined ? undefined : History.textOf(record.value)
    history.answer(operation, "read", { value, writeId: record?.writeId })
  }
  told(world, operation)
  return operation
})

const consistencies = ["local", "local", "quorum", "linearizable", "linearizable"] as const

/** The namespace of all that is written. */
export const namespace = "n"

// ---------------------------------------------------------------------------------------------------------------------

/** How long a client waits for an answer, in milliseconds. */
const patienceMillis = 20_000

const answerFailure = (
  history: History.History,
  operation: Operation,
  error: { readonly _tag: string } | QuorumError.QuorumNotMet
): void => {
  if (error._tag === "Unreachable") {
    return history.answer(operation, "isSent" in error && error.isSent === true ? "Lost" : "NotSent")
  }
  history.answer(operation, error._tag, "writeId" in error ? { writeId: error.writeId } : {})
}

const told = (world: World, { client, id, outcome, value, writeId }: Operation): void =>
  world.say(`client ${client}`, `operation ${id}: ${outcome} ${value ?? ""} ${writeId ?? ""}`)
