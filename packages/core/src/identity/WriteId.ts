/**
 * Ids of writes. The id of a write is its place, the log and the sequence, and a short check of what is there: a place
 * that was given to another write, by whatever accident, must not answer for this one (law L52).
 */
import { Schema } from "effect"
import type * as LogId from "./LogId.ts"

/** The id of a write: `replica@incarnation:sequence.check`. */
export const WriteId = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}@[0-9a-f]{16}:[1-9][0-9]{0,15}\.[0-9a-f]{8}$/, {
    message: "a write id is replica@incarnation:sequence.check, for example a@9f3c52d0b1e44a07:41.5ad3c01e"
  })
).pipe(Schema.brand("@quorum/core/WriteId"))

/** The id of a write. */
export type WriteId = typeof WriteId.Type

/** The id of the write at a place. `check` is the first half of the chain there, see `Chain.check`. */
export const make = (log: LogId.LogId, seq: number, check: number): WriteId => {
  if (log !== latest.log) latest = { log, prefix: `${log}:` }
  return (latest.prefix + seq + inHex(check)) as WriteId
}

/** The place that a write id names, and the check of what it means there. */
export const place = (id: WriteId): { readonly log: LogId.LogId; readonly seq: number; readonly check: number } => {
  const colon = id.lastIndexOf(":")
  const dot = id.lastIndexOf(".")
  return {
    log: id.slice(0, colon) as LogId.LogId,
    seq: Number(id.slice(colon + 1, dot)),
    check: Number.parseInt(id.slice(dot + 1), 16)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Ids are made for every write, mostly of one log, so what they have in common is made once. */
let latest: { readonly log: LogId.LogId | undefined; readonly prefix: string } = { log: undefined, prefix: "" }

/** Every byte as text. A larger table is slower: it lies farther from the processor. */
const bytesAsText = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))
const afterDot = bytesAsText.map((text) => `.${text}`)

/** A check as an id ends with it. */
const inHex = (check: number): string =>
  afterDot[check >>> 24]! +
  bytesAsText[(check >>> 16) & 0xff]! +
  bytesAsText[(check >>> 8) & 0xff]! +
  bytesAsText[check & 0xff]!
