/**
 * Logs to append and push, and what is compared of them.
 */
import { Entry, HybridLogicalClock, type LogId } from "@quorum/core"
import { EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Option } from "effect"

/** The entries that follow a watermark, one per write. */
export const following = (head: Watermark.Watermark, writes: ReadonlyArray<Entry.Write>): EntryBatch.EntryBatch =>
  EntryBatch.encode(head, writes, HybridLogicalClock.zero, 1_700_000_000_000 + head.seq).batch

/** The first entries of a log. */
export const first = (log: LogId.LogId, writes: ReadonlyArray<Entry.Write>): EntryBatch.EntryBatch =>
  following(Watermark.none(log), writes)

/** A log of `length` entries. Of another name it forks off the usual one after the first `same` entries. */
export const source = (log: LogId.LogId, length: number, name = "x", same = 0): EntryBatch.EntryBatch =>
  first(
    log,
    Array.from({ length }, (_, i) => Entry.put("ns", `k${i}`, `${i < same ? "x" : name} ${i}`))
  )

/** The entries from `from` to `to`, both included. */
export const range = (batch: EntryBatch.EntryBatch, from: number, to: number): EntryBatch.EntryBatch => {
  const rest = EntryBatch.after(batch, from - 1)
  let bytes = 0
  EntryBatch.forEach(rest, (seq, offset) => {
    if (seq <= to) bytes = Entry.endUnsafe(rest.bytes, offset)
  })
  return EntryBatch.take(rest, bytes)
}

/** Batches of `size` entries, in order, that make up a batch. */
export const pieces = (batch: EntryBatch.EntryBatch, size: number): ReadonlyArray<EntryBatch.EntryBatch> =>
  Array.from({ length: Math.ceil(batch.count / size) }, (_, i) =>
    range(batch, batch.from + i * size, Math.min(batch.from + (i + 1) * size, batch.from + batch.count) - 1)
  )

/** The entries of a batch as text, to compare. */
export const texts = (batch: EntryBatch.EntryBatch): ReadonlyArray<string> => {
  const found: Array<string> = []
  EntryBatch.forEach(batch, (seq, offset) => {
    const entry = batch.bytes.subarray(offset, Entry.endUnsafe(batch.bytes, offset))
    found.push(`${seq} ${Buffer.from(entry).toString("latin1")}`)
  })
  return found
}

/** All that a store holds of a log, read in pages of at most `maxBytes`. */
export const held = Effect.fnUntraced(function* (
  store: ReplicaStore.ReplicaStore["Service"],
  log: LogId.LogId,
  maxBytes = 1024 * 1024
) {
  const found: Array<string> = []
  while (true) {
    const page = yield* store.read(log, found.length, maxBytes)
    if (Option.isNone(page)) return found as ReadonlyArray<string>
    const entries = texts(page.value)
    // A store that answers with the wrong range would make this loop for ever.
    if (page.value.from !== found.length + 1 || entries.length === 0) {
      return yield* Effect.die(new Error(`asked for what follows ${found.length}, got ${page.value.from}`))
    }
    found.push(...entries)
  }
})

/** How far a store holds a log. */
export const head = (store: ReplicaStore.ReplicaStore["Service"], log: LogId.LogId) =>
  Effect.map(store.watermarks, (all) => all.find((watermark) => watermark.log === log) ?? Watermark.none(log))
