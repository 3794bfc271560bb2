/**
 * Reads several logs from a position on, in turns, so that none waits for another's end.
 */
import { Effect, Option, Schema } from "effect"
import type * as LogId from "../../identity/LogId.ts"
import * as WriteId from "../../identity/WriteId.ts"
import * as Chain from "../../log/Chain.ts"
import * as Entry from "../../log/Entry.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import { StoreError } from "../../log/ReplicaStore.ts"
import * as Watermark from "../../log/Watermark.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import * as Changes from "../Changes.ts"

/** Reads several logs. */
export interface LogReader {
  /** Up to where each log was read. */
  readonly position: () => Changes.Vector
  /** Fails when what the position says of a log is not so here. Of what is not held here nothing is known yet. */
  readonly compare: Effect.Effect<void, QuorumError.WriteReplaced | StoreError>
  /** What the position has seen of logs that is not here. */
  readonly ahead: () => Changes.Vector
  /** The log whose turn it is of those with more to read; `undefined` when there is none. */
  readonly next: () => LogId.LogId | undefined
  /** Reads on in a log and adds the changes that were asked for. Returns how many bytes were looked at. */
  readonly read: (
    log: LogId.LogId,
    changes: Array<Changes.Change>
  ) => Effect.Effect<number, QuorumError.WriteReplaced | Changes.ChangesForgotten | StoreError>
  /** The damage at which a log ends for this reader. */
  readonly damaged: () => Changes.LogDamaged | undefined
}

/** Reads what the logs hold durably: until now, or for ever. */
export const make = (
  logs: ReplicaLogs["Service"],
  { namespace, prefix = "", since = Changes.beginning, until }: Changes.Options
): LogReader => {
  const position = new Map(since.map((seen) => [seen.log, seen]))
  const ends = until === "now" ? logs.heads() : undefined
  let last: LogId.LogId | undefined

  let ahead = since

  const seenOf = (log: LogId.LogId) => position.get(log) ?? Watermark.none(log)

  const isAsked = (header: Entry.Header): boolean =>
    namespace === undefined || (header.namespace === namespace && header.key.startsWith(prefix))

  /** Up to where the logs are to be read. */
  const targets = () => ends ?? logs.heads()

  /** Whether there is more of a log to read, and what keeps it from being read. */
  const isUnread = ({ log, seq }: Watermark.Watermark): boolean => seq > seenOf(log).seq
  const damageOf = (log: LogId.LogId) => logs.damageAt(log, seenOf(log).seq + 1)

  const take = (batch: EntryBatch.EntryBatch, changes: Array<Changes.Change>): void => {
    // What is written and not synced can be read too.
    const end = Math.min(batch.from + batch.count - 1, logs.head(batch.log).seq)
    const { bytes } = batch
    const reached = { high: 0, low: 0 }
    EntryBatch.forEachElement(batch, ({ chain, from, isErased, offset, to }) => {
      if (to > end) return
      reached.high = chain.high
      reached.low = chain.low
      if (isErased) return
      const writeId = WriteId.make(batch.log, from, chain.high)
      const { clock, tie } = Entry.stampAt(bytes, offset)
      const after = Entry.endUnsafe(bytes, offset)
      for (let at = Entry.firstRecord(offset); at < after; at = Entry.nextRecord(bytes, at)) {
        if (isAsked(Entry.headerAt(bytes, at))) changes.push({ ...changeAt(bytes, at), writeId, clock, tie })
      }
    })
    position.set(batch.log, { log: batch.log, seq: end, chain: Chain.format(reached) })
  }

  return {
    position: () => Array.from(position.values()),
    compare: Effect.forEach(
      since,
      (seen) =>
        seen.seq > logs.head(seen.log).seq || logs.damageAt(seen.log, seen.seq) !== undefined
          ? Effect.void
          : Effect.flatMap(logs.chainAt(seen.log, seen.seq), (here) =>
              Option.isSome(here) && here.value !== seen.chain ? Effect.fail(replaced(seen, here.value)) : Effect.void
            ),
      { discard: true }
    ),
    ahead: () => {
      if (ahead.length > 0) ahead = ahead.filter(({ log, seq }) => seq > logs.head(log).seq)
      return ahead
    },
    next: () => {
      const all = targets()
      const turn = all.findIndex(({ log }) => log === last) + 1
      const isNext = (target: Watermark.Watermark) => isUnread(target) && damageOf(target.log) === undefined
      return (all.slice(turn).find(isNext) ?? all.slice(0, turn).find(isNext))?.log
    },
    read: Effect.fnUntraced(function* (log, changes) {
      last = log
      const seen = seenOf(log)
      const isDamaged = () => damageOf(log) !== undefined
      const batch = yield* Effect.catchIf(logs.read(log, seen.seq, readBytes), isDamaged, () => Effect.succeedNone)
      if (Option.isNone(batch)) return isDamaged() ? 0 : yield* missing(seen)
      // Where a position is among entries that were erased since, the chain there is not known any more.
      const isWithin = batch.value.from <= seen.seq
      if (!isWithin && batch.value.prevChain !== seen.chain) return yield* replaced(seen, batch.value.prevChain)
      if (EntryBatch.hasErasedDeletes(batch.value)) return yield* forgotten(logs)
      take(batch.value, changes)
      return batch.value.bytes.length
    }),
    damaged: () => {
      for (const target of targets()) {
        const damage = isUnread(target) ? damageOf(target.log) : undefined
        if (damage !== undefined) return new Changes.LogDamaged(damage)
      }
      return undefined
    }
  }
}

/** What a reader is told that cannot go on from where it is, and may hold what is not there any more. */
export const forgotten = (logs: ReplicaLogs["Service"]) =>
  new Changes.ChangesForgotten({ position: encodePosition(logs.vector()) })

// ---------------------------------------------------------------------------------------------------------------------

/** How much of a log is read at once: about a millisecond of work. */
const readBytes = 64 * 1024

/** A record as a change. Its value is a copy: the bytes are those of the log, and perhaps a `Buffer`, which `slice` does not copy. */
const changeAt = (bytes: Uint8Array, at: number) => {
  const { kind, value, ...rest } = Entry.recordAt(bytes, at)
  return { ...rest, deleted: kind === "delete", value: new Uint8Array(value) }
}

const replaced = ({ chain, log, seq }: Watermark.Watermark, here: Chain.Chain) =>
  new QuorumError.WriteReplaced({
    writeId: WriteId.make(log, seq, Chain.check(chain)),
    held: WriteId.make(log, seq, Chain.check(here))
  })

const missing = ({ log, seq }: Watermark.Watermark) =>
  new StoreError({ reason: "corrupt", detail: `entry ${seq + 1} of ${log} is missing` })

const encodePosition = Schema.encodeSync(Changes.Position)
