/**
 * What clients ask of replicas, and what they make of the answers.
 */
import { type Entry, QuorumWriter, type Receipt, type ReplicaId, type WriteId } from "@quorum/core"
import { Effect, Option, Result } from "effect"
import * as watching from "./checks/watching.ts"
import type { History, Operation } from "./History.ts"
import * as Steps from "./Steps.ts"
import type { World } from "./World.ts"

/** An error, of which only some have the id of a write, or say that the question was sent. */
type Failed = { readonly _tag: string }

/** What came of a write. */
export type Outcome =
  | { readonly _tag: "Receipt"; readonly receipt: Receipt.Receipt }
  | { readonly _tag: "Failure"; readonly error: Failed }
  /** The client has waited long enough. */
  | { readonly _tag: "Silent" }

/** How long a client waits for an answer, in milliseconds. */
export const patienceMillis = 20_000

/**
 * Asks a replica for a receipt, and looks at it where it is made. Whoever is in haste waits no longer than that, and the
 * replica hears that nobody waits.
 */
export const call = <E extends Failed>(
  world: World,
  at: ReplicaId.ReplicaId,
  ask: (writer: QuorumWriter.QuorumWriter["Service"]) => Effect.Effect<Receipt.Receipt, E>,
  askedAt: number,
  hasteMillis?: number
): Effect.Effect<Outcome> => {
  const asked = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) =>
    Effect.tap(ask(writer), (receipt) =>
      Effect.sync(() => watching.onReceipt(world, receipt, askedAt, world.machine(at).process?.owner))
    )
  )
  const answered = Effect.timeoutOption(world.at(at, asked, hasteMillis !== undefined), hasteMillis ?? patienceMillis)
  return Effect.map(Effect.result(answered), (result): Outcome => {
    if (Result.isFailure(result)) return { _tag: "Failure", error: result.failure }
    return Option.isNone(result.success) ? { _tag: "Silent" } : { _tag: "Receipt", receipt: result.success.value }
  })
}

/** How a commit is called. */
export type Way = "commit" | "unsafe" | "progress"

/** Commits at a replica: without a fiber for it there, as servers do, when `unsafe`; or step by step. */
export const commit = (
  world: World,
  at: ReplicaId.ReplicaId,
  writes: Entry.Writes,
  options: QuorumWriter.WriteOptions,
  way: Way = "commit",
  hasteMillis?: number
): Effect.Effect<Outcome> => {
  // What is repeated may have been committed before, and be counted for those who acked it then.
  const isFirst = options.stamp === undefined && options.idempotencyKey === undefined
  const askedAt = isFirst ? world.timeline.now() : 0
  const commit = (writer: QuorumWriter.QuorumWriter["Service"]): Effect.Effect<Receipt.Receipt, Failed> => {
    if (way === "progress") return Steps.outcomeOf(world, writer.progress(writes, options))
    return way === "commit"
      ? writer.commit(writes, options)
      : Effect.callback<Receipt.Receipt, QuorumWriter.CommitError>((resume) =>
          Effect.sync(writer.commitUnsafe(writes, resume, options))
        )
  }
  return call(world, at, commit, askedAt, hasteMillis)
}

/** What an error is called in a history. */
export const nameOf = (error: Failed): string => {
  if (error._tag !== "Unreachable") return error._tag
  return "isSent" in error && error.isSent === true ? "Lost" : "NotSent"
}

/** Takes in that something failed. */
export const answerFailure = (history: History, operation: Operation, error: Failed): void => {
  const writeId = "writeId" in error ? (error.writeId as WriteId.WriteId) : undefined
  history.answer(operation, nameOf(error), writeId === undefined ? {} : { writeId })
}
