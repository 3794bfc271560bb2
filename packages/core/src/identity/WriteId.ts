/**
 * Ids of writes. The id of a write is its place: the log and the sequence.
 */
import { Schema } from "effect"
import type * as LogId from "./LogId.ts"

/** The id of a write, its place: `replica@incarnation:sequence`. */
export const WriteId = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}@[0-9a-f]{16}:[1-9][0-9]{0,15}$/, {
    message: "a write id is replica@incarnation:sequence, for example a@9f3c52d0b1e44a07:41"
  })
).pipe(Schema.brand("@quorum/core/WriteId"))

/** The id of a write. */
export type WriteId = typeof WriteId.Type

/** The id of the write at a place. */
export const make = (log: LogId.LogId, seq: number): WriteId => `${log}:${seq}` as WriteId

/** The place that a write id names. */
export const place = (id: WriteId): { readonly log: LogId.LogId; readonly seq: number } => {
  const colon = id.lastIndexOf(":")
  return { log: id.slice(0, colon) as LogId.LogId, seq: Number(id.slice(colon + 1)) }
}
