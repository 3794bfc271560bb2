/**
 * Clients that write, delete and read few keys at all replicas, ask again after a failure, and go on elsewhere.
 */
import {
  Entry,
  type QuorumError,
  QuorumPolicy,
  QuorumWriter,
  Records,
  type ReplicaId,
  type WriteId
} from "@quorum/core"
import { Effect, Option, Result } from "effect"
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
      ? yield* read(world, history, number, home, key, dice.chance(0.4) ? last : undefined)
      : yield* write(world, history, number, home, key, dice, options)
    if (operation.outcome === "receipt") last = operation.writeId
    if (operation.outcome === "QuorumNotMet" && dice.chance(0.6)) {
      yield* resume(world, history, operation, dice.chance(0.7) ? home : dice.pick(world.members))
    }
    if (operation.outcome !== "receipt" && operation.outcome !== "read") home = dice.pick(world.members)
  }
})

/** Writes or deletes a key, and waits no longer than a client would. */
export const write = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  client: number,
  at: ReplicaId.ReplicaId,
  key: string,
  dice: Dice,
  options: Pick<Options, "otherW">
) {
  const n = world.members.length
  const majority = Result.getOrThrow(QuorumPolicy.majority(n)).w
  const w = dice.chance(options.otherW) ? 1 + dice.below(n) : majority
  const id = history.operations.length
  const value = dice.chance(0.15) ? undefined : `v${id}`
  const operation = history.ask({ client, kind: "write", at, namespace, key, value, w }, world.timeline.now())
  const write = value === undefined ? Entry.remove(namespace, key) : Entry.put(namespace, key, History.bytesOf(value))
  const shown = value === undefined ? `deletes ${key}` : `writes ${key} = ${value}`
  world.say(`client ${client}`, `${shown} at ${at}, w = ${w}`)
  const commit = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) => writer.commit(write, { w }))
  const result = yield* Effect.result(Effect.timeoutOption(world.at(at, commit), patienceMillis))
  if (Result.isFailure(result)) answerFailure(history, operation, result.failure)
  else if (Option.isNone(result.success)) history.answer(operation, "Silent")
  else {
    const { acked, writeId } = result.success.value
    history.answer(operation, "receipt", { acked: acked.map(({ replica }) => replica), writeId })
  }
  told(world, operation)
  return operation
})

/** Waits again for the quorum of a write that missed it. */
const resume = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  operation: Operation,
  at: ReplicaId.ReplicaId
) {
  const { client, w, writeId } = operation
  world.say(`client ${client}`, `asks ${at} for ${writeId} again`)
  const resume = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) => writer.resume(writeId!, { w }))
  const result = yield* Effect.result(Effect.timeoutOption(world.at(at, resume), patienceMillis))
  if (Result.isFailure(result) || Option.isNone(result.success)) return
  const { acked } = result.success.value
  history.answer(operation, "receipt", { acked: acked.map(({ replica }) => replica) })
  told(world, operation)
})

/** Reads a key at one replica. */
export const read = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  client: number,
  at: ReplicaId.ReplicaId,
  key: string,
  atLeast: WriteId.WriteId | undefined
) {
  const asked = { client, kind: "read", at, namespace, key, w: 0, atLeast } as const
  const operation = history.ask(asked, world.timeline.now())
  world.say(`client ${client}`, `reads ${key} at ${at}${atLeast === undefined ? "" : `, at least ${atLeast}`}`)
  const options = atLeast === undefined ? {} : { atLeast }
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
