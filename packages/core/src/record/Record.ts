/**
 * A record: the newest write of a key, as it is read.
 */
import { Option } from "effect"
import type * as WriteId from "../identity/WriteId.ts"
import type * as Entry from "../log/Entry.ts"
import type * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import type * as RecordKey from "./RecordKey.ts"

/** The newest write of a key. */
export interface Record extends RecordKey.RecordKey {
  readonly value: Uint8Array
  /** What the writer said the value is; absent when nothing was said. */
  readonly contentType?: string
  readonly writeId: WriteId.WriteId
  readonly clock: HybridLogicalClock.HybridLogicalClock
}

/** The newest write of a key as this replica holds it, a delete too. */
export interface Newest extends Record, Entry.Stamp {
  readonly deleted: boolean
}

/** What a reader sees of the newest write; none of a delete. */
export const recordOf = (newest: Newest | undefined): Option.Option<Record> => {
  if (newest === undefined || newest.deleted) return Option.none()
  const { clock, contentType, key, namespace, value, writeId } = newest
  const record = { namespace, key, writeId, clock, value }
  return Option.some(contentType === undefined ? record : { ...record, contentType })
}
