/** The logs of one replica, on a store that the test keeps, and what another replica's log holds. */
import { Effect } from "effect"
import { EntryBatch, RecordIndex, type ReplicaStore, Watermark } from "../../src/adapter.ts"
import { Entry, HybridLogicalClock, LogId, ReplicaId } from "../../src/index.ts"
import * as Reads from "./reads.ts"

export const put = (key: string, value: Uint8Array | string = "v") => Entry.put("notes", key, value)

export const peerLog = LogId.make(ReplicaId.make("b"), "0000000000000001" as LogId.Incarnation)

/** The batches of one log, an entry each. */
export const batches = (
  log: LogId.LogId,
  ...writes: ReadonlyArray<Entry.Write>
): ReadonlyArray<EntryBatch.EntryBatch> => {
  let head = Watermark.none(log)
  return writes.map((write, i) => {
    const { batch } = EntryBatch.encode(head, [write], HybridLogicalClock.zero, i + 1)
    head = EntryBatch.watermark(batch)
    return batch
  })
}

export const open = Effect.fnUntraced(function* (
  store: ReplicaStore.ReplicaStore["Service"],
  index?: RecordIndex.RecordIndex["Service"]
) {
  return yield* Reads.open(store, index ?? (yield* RecordIndex.makeMemory))
})
