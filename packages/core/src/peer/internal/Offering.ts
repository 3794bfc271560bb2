/**
 * Decides, before a replica that recovered votes, what becomes of the entries that only it holds: see `OnlyHere`. What stays
 * is committed again under its own log, as the same versions, and what held it is given up.
 */
import { Effect, Option, Result } from "effect"
import type { LogId } from "../../identity/LogId.ts"
import * as Entry from "../../log/Entry.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import type * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import { keyOf } from "../../log/KeyText.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { Membership } from "../Membership.ts"
import type { Keep } from "./Again.ts"
import * as OneAtATime from "./OneAtATime.ts"
import * as OnlyHere from "./OnlyHere.ts"
import * as OwnStore from "./OwnStore.ts"

/** The work of one replica, shared by its replicators. */
export const make = (
  logs: ReplicaLogs["Service"],
  membership: Membership["Service"],
  store: OwnStore.OwnStore,
  keep: Keep
) => {
  const once = OneAtATime.make<"offering">()

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

  /** The keys in question, and the parts that have any. */
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

  /** Which of the keys have a write that is not in question. */
  const knownOf = Effect.fnUntraced(function* (keys: ReadonlySet<string>, found: OnlyHere.Tails) {
    const known = new Map<string, HybridLogicalClock.HybridLogicalClock>()
    for (const { log, seq } of logs.heads()) {
      const upTo = found.tails.find((tail) => tail.log === log)?.after ?? seq
      const fault = yield* forEachBatch(log, 0, upTo, (batch) =>
        EntryBatch.forEach(batch, (_, offset) =>
          forEachRecord(batch.bytes, offset, (key, kind, isAlone) => {
            if (!keys.has(key)) return
            OnlyHere.learn(known, key, { kind, isAlone, clock: Entry.clockAt(batch.bytes, offset) }, found)
          })
        )
      )
      if (fault !== undefined) return fault
    }
    return known
  })

  const decide = Effect.fnUntraced(function* (found: OnlyHere.Tails) {
    const question = yield* questionOf(found)
    if (question instanceof OwnStore.OwnFault) return question
    const { keys, parts } = question
    const known: OnlyHere.Known | OwnStore.OwnFault = keys.size === 0 ? new Map() : yield* knownOf(keys, found)
    if (known instanceof OwnStore.OwnFault) return known
    for (const { after, log, upTo } of parts) {
      const keeps = ({ entry }: { readonly entry: Entry.Entry }): boolean => OnlyHere.stays(entry, found, known)
      const fault = yield* keep({ log, after, upTo, because: "away", peer: null, keeps })
      if (fault !== undefined) return fault
      const gone = yield* store.once(`give up what only this replica holds of ${log}`, logs.giveUp(log, after, upTo))
      if (Result.isFailure(gone)) return new OwnStore.OwnFault()
    }
    // What was given up is asked for again: then there is nothing left.
    if (parts.length === 0) membership.offered()
    return undefined
  })

  /** Decides when it is time. An own fault ends it, and is returned. */
  return once(
    "offering",
    Effect.suspend((): Effect.Effect<OwnStore.OwnFault | undefined> => {
      const found = membership.toOffer()
      return found === undefined ? Effect.undefined : decide(found)
    })
  )
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
