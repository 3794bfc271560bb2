/**
 * What the writers of a soak asked and were answered, in the order in which it happened.
 *
 * The order is one count for all of them: an answer that was taken before a request was sent has the smaller number. So
 * "began after another was acknowledged" needs no clock, and least of all one of the replicas'.
 */
import { type Entry, type Receipt, type Records, WriteId } from "@quorum/core"
import type { Version } from "@quorum/core/adapter"
import type { Answer, Found } from "../Client.ts"

/** A write or a read. */
export interface Operation {
  readonly id: number
  /** The first of the operations that are one entry with this one; its own id where it is alone. */
  readonly entry: number
  readonly kind: "put" | "delete" | "read"
  /** The namespace and the key. */
  readonly key: string
  /** The replica that was asked; of a write that was sent to two, the one whose receipt came first. */
  at: string
  /** When it was asked and answered. */
  readonly begun: number
  ended: number | undefined
  /**
   * - `acknowledged`: a write has its receipt
   * - `nothing`: a write was answered that nothing was written
   * - `unknown`: nobody knows what became of a write
   * - `read`: a read was answered
   * - `failed`: a read was not
   */
  outcome: "open" | "acknowledged" | "nothing" | "unknown" | "read" | "failed"
  /** Of a write that is known, and of what a read found. */
  writeId: WriteId.WriteId | undefined
  version: Version.Version | undefined
  /** The version of the stamp that was drawn for a write, and its receipts after the first. */
  drawn: Version.Version | undefined
  readonly again: Array<{ readonly writeId: WriteId.WriteId; readonly version: Version.Version }>
  /** The replicas that were counted for a write. */
  counted: ReadonlyArray<string>
  /** What a read found: the operation that wrote it; `undefined` when there is no record. */
  seen: number | undefined
  /** What a read asked for: of one replica, or of several, also so that every later one sees the same or newer. */
  readonly consistency: Records.Consistency
  /** The write that a read had to see. */
  readonly after: Operation | undefined
}

/** What was asked and answered. */
export interface History {
  readonly operations: Array<Operation>
  /** What was seen in an answer and can never be right. */
  readonly wrong: Array<string>
  /** The order of all that happened. */
  order: number
}

/** Nothing was asked yet. */
export const make = (): History => ({ operations: [], wrong: [], order: 0 })

/** Notes that something is asked. */
export const begin = (
  history: History,
  asked: Pick<Operation, "kind" | "key" | "at"> & Partial<Pick<Operation, "consistency" | "after" | "entry">>
): Operation => {
  const operation: Operation = {
    id: history.operations.length,
    entry: asked.entry ?? history.operations.length,
    kind: asked.kind,
    key: asked.key,
    at: asked.at,
    begun: history.order++,
    ended: undefined,
    outcome: "open",
    writeId: undefined,
    version: undefined,
    drawn: undefined,
    again: [],
    counted: [],
    seen: undefined,
    consistency: asked.consistency ?? "local",
    after: asked.after
  }
  history.operations.push(operation)
  return operation
}

/** Notes the receipt that a replica gave of a write. */
export const acknowledge = (
  history: History,
  operation: Operation,
  at: string,
  receipt: Pick<Receipt.Receipt, "acked" | "clock" | "tie" | "writeId">
): void => {
  const { clock, tie, writeId } = receipt
  const version = { clock, tie }
  if (operation.outcome === "acknowledged") {
    operation.again.push({ writeId, version })
    return
  }
  operation.outcome = "acknowledged"
  operation.at = at
  operation.writeId = writeId
  operation.version = version
  operation.counted = receipt.acked.map(({ replica }) => replica)
  operation.ended = history.order++
}

/** Notes how far a log was acknowledged. */
export const noteAcknowledged = (upTo: Map<string, number>, writeId: WriteId.WriteId): void => {
  const { log, seq } = WriteId.place(writeId)
  upTo.set(log, Math.max(seq, upTo.get(log) ?? 0))
}

/**
 * Notes that a request to write ended without its receipt. `held` when a replica has said that it holds it. What another
 * request for the same write has shown stays.
 */
export const giveUp = (operation: Operation, answer: Answer, held: boolean): void => {
  if (operation.outcome === "acknowledged" || operation.outcome === "unknown") return
  operation.outcome =
    !held && (answer._tag === "Unavailable" || answer._tag === "Unreachable" || answer._tag === "Refused")
      ? "nothing"
      : "unknown"
}

/** Notes what a read found. */
export const found = (history: History, operation: Operation, answer: Found): void => {
  operation.ended = history.order++
  if (answer._tag === "Failed") {
    operation.outcome = "failed"
    if (answer.reason === "WriteReplaced") {
      history.wrong.push(
        `OneEntryPerPlace: ${operation.at} answered that an acknowledged write is another: ${answer.detail}`
      )
    }
    return
  }
  operation.outcome = "read"
  if (answer._tag === "Absent") return
  operation.writeId = answer.writeId
  operation.seen = operationOf(answer.value)
  if (operation.seen === undefined) {
    history.wrong.push(`OneEntryPerPlace: ${operation.at} answered for ${operation.key} with bytes that nobody wrote`)
  }
}

/** What an operation writes. All that is written differs, so that what is read tells who wrote it. */
export const valueOf = (operation: number): Entry.Write["value"] =>
  encoder.encode(`${operation} ${"x".repeat((operation * 7919) % longestFill)}`)

/** The operation that wrote a value; `undefined` for bytes that none has written. */
export const operationOf = (value: Uint8Array): number | undefined => {
  const text = decoder.decode(value)
  const operation = Number(text.slice(0, text.indexOf(" ")))
  return Number.isSafeInteger(operation) && text.length > 0 && text === decoder.decode(valueOf(operation))
    ? operation
    : undefined
}

// ---------------------------------------------------------------------------------------------------------------------

const longestFill = 400

const encoder = new TextEncoder()
const decoder = new TextDecoder()
