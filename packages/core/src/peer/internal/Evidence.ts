/**
 * Looks through the logs for what decides about entries that only this replica holds: whether any of them is in question,
 * and which of their keys have writes that are not. See `OnlyHere`.
 */
import { Effect, Option, Result } from "effect"
import type { LogId } from "../../identity/LogId.ts"
import * as Entry from "../../log/Entry.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import type * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import { keyOf } from "../../log/KeyText.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as OnlyHere from "./OnlyHere.ts"
import * as OwnStore from "./OwnStore.ts"

/** Looks in the logs of this replica. An own fault ends it, and is returned. */
export const make = (logs: ReplicaLogs["Service"], store: OwnStore.OwnStore) => {
  /** Calls `f` with every batch of a part of a log that can be read. */
  const forEachBatch = Effect.fnUntraced(function* (
    log: LogId,
    after: number,
    upTo: number,
    f: (batch: EntryBatch.EntryBatch) => void
  ): Effect.fn.Return<OwnStore.OwnFault | undefined> {
    for (let at = after; at < upTo;) {
      const damage = logs.damageAt(log, at + 1)
      if (damage !== undefined) {
        at = damage.to
        continue
      }
      const read = yield* store.once(`read ${log}`, logs.read(log, at, pageBytes))
      if (Result.isFailure(read)) return new OwnStore.OwnFault()
      if (Option.isNone(read.success)) return undefined
      const batch = EntryBatch.upTo(read.success.value, upTo)
      f(batch)
      at = EntryBatch.last(batch)
      yield* Effect.yieldNow
    }
    return undefined
  })

  /** The keys in question of some tails, and the parts that have any. */
  const questionOf = Effect.fnUntraced(function* (found: OnlyHere.Tails) {
    const keys = new Set<string>()
    const parts: Array<OnlyHere.Tail> = []
    for (const { log, upTo, ...tail } of found.tails) {
      let { after } = tail
      let isAny = false
      const fault = yield* forEachBatch(log, after, upTo, (batch) =>
        EntryBatch.forEachElement(batch, ({ from, isErased, offset, to }) => {
          // Nobody knows the chain within what is erased: the log can end only after it.
          if (isErased) after = from <= after ? Math.max(after, to) : after
          else if (OnlyHere.isInQuestion(Entry.stampAt(batch.bytes, offset), found)) {
            isAny = true
            forEachRecord(batch.bytes, offset, (key) => keys.add(key))
          }
        })
      )
      if (fault !== undefined) return fault
      if (isAny) parts.push({ log, after, upTo })
    }
    return { keys, parts }
  })

  /** Which of the keys have a write that is in none of the tails. */
  const knownOf = Effect.fnUntraced(function* (keys: ReadonlySet<string>, found: OnlyHere.Tails) {
    const known = new Map<string, HybridLogicalClock.HybridLogicalClock>()
    if (keys.size === 0) return known
    for (const { log, seq } of logs.heads()) {
      const upTo = found.tails.find((tail) => tail.log === log)?.after ?? seq
      const fault = yield* forEachBatch(log, 0, upTo, (batch) =>
        EntryBatch.forEach(batch, (_, offset) =>
          forEachRecord(batch.bytes, offset, (key, kind, isAlone) => {
            if (!keys.has(key)) return
            OnlyHere.learn(known, key, { kind, isAlone, clock: Entry.clockAt(batch.bytes, offset) })
          })
        )
      )
      if (fault !== undefined) return fault
    }
    return known
  })

  return { questionOf, knownOf }
}

// ---------------------------------------------------------------------------------------------------------------------

/** How much is read at once. */
const pageBytes = 64 * 1024

const forEachRecord = (
  bytes: Uint8Array,
  offset: number,
  f: (key: string, kind: Entry.Write["kind"], isAlone: boolean) => void
): void => {
  const end = Entry.endUnsafe(bytes, offset)
  const first = Entry.firstRecord(offset)
  const isAlone = Entry.nextRecord(bytes, first) >= end
  for (let at = first; at < end; at = Entry.nextRecord(bytes, at)) {
    const { key, kind, namespace } = Entry.headerAt(bytes, at)
    f(keyOf(namespace, key), kind, isAlone)
  }
}
