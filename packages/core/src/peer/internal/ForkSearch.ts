/**
 * Looks for where a fork begins: the first entry at which the copies of a log differ, here and with a peer. The peer is
 * asked for single entries, with every answer for one half of what may yet differ.
 */
import { Effect, Option, Result } from "effect"
import type { LogId } from "../../identity/LogId.ts"
import * as Entry from "../../log/Entry.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import * as Erased from "../../log/Erased.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import { faultOf, type Source } from "./CatchUp.ts"
import type * as Fork from "./Fork.ts"

/** A log of a peer, and how the peer is asked for it. */
export interface Asked {
  readonly source: Source
  readonly session: string
  readonly log: LogId
}

/** The first entry at which two copies of a log differ. */
export interface Found {
  readonly seq: number
  readonly mine: Fork.Side
  readonly theirs: Fork.Side
}

/** What an entry, the first of a batch, is by. */
export const sideOf = (batch: EntryBatch.EntryBatch | undefined): Fork.Side | "erased" | undefined =>
  batch && Erased.is(batch.bytes, 0)
    ? "erased"
    : batch && { ...Entry.stampAt(batch.bytes, 0), chain: EntryBatch.take(batch, 1).chain }

/** Looks in the logs of this replica, and asks a peer for its own. */
export const make = (logs: ReplicaLogs["Service"]) => {
  /** Some entries of the peer's copy from a place on; `undefined` where it gives none today. */
  const pull = Effect.fnUntraced(function* (asked: Asked, seq: number, maxBytes: number) {
    const { log, session, source } = asked
    const answer = yield* Effect.result(source.client.pull({ session, log, after: seq - 1, maxBytes }))
    if (Result.isFailure(answer)) return answer.failure._tag === "StoreError" ? undefined : yield* answer.failure
    const { batch } = answer.success
    return batch === null || faultOf(batch, log, seq - 1) !== undefined ? undefined : EntryBatch.after(batch, seq - 1)
  })

  const here = (log: LogId, seq: number) =>
    Effect.map(Effect.option(logs.read(log, seq - 1, 1)), (read) => Option.getOrUndefined(Option.flatten(read)))

  /**
   * Both copies at a place, or at the first one after it at which both know the chain, which nobody does within what is
   * erased. Where there is none up to `last`, from where on there is none; `undefined` where one of the two gives nothing.
   */
  const compared = Effect.fnUntraced(function* (asked: Asked, seq: number, last: number) {
    let from = seq
    for (let at = seq; at <= last;) {
      const [mine, theirs] = [yield* here(asked.log, at), yield* pull(asked, at, 1)]
      if (mine === undefined || theirs === undefined) return undefined
      const parts = [EntryBatch.take(mine, 1), EntryBatch.take(theirs, 1)] as const
      const ends = parts.map(EntryBatch.last)
      if (at === seq) from = Math.min(seq, ...parts.map((part) => part.from))
      if (ends[0] === ends[1] && ends[0]! <= last) return { seq: ends[0]!, parts }
      at = Math.max(...ends)
    }
    return { from }
  })

  /**
   * The first entry that differs, in both copies, of which the first `last` are compared. Where one of the two has erased
   * it, nobody can say which it is.
   */
  const forkOf = Effect.fnUntraced(function* (asked: Asked, last: number) {
    let agreed = 0
    /** The last place that may yet tell more: what is after it differs, or cannot be compared. */
    let open = last
    let differs:
      | { readonly seq: number; readonly parts: readonly [EntryBatch.EntryBatch, EntryBatch.EntryBatch] }
      | undefined
    for (let seq = last; open > agreed; seq = Math.ceil((agreed + open) / 2)) {
      const found = yield* compared(asked, seq, open)
      if (found === undefined) return "unknown" as const
      if (found.parts === undefined) {
        open = found.from - 1
        continue
      }
      const [mine, theirs] = found.parts
      if (mine.chain === theirs.chain) agreed = found.seq
      else {
        differs = found
        open = seq - 1
      }
    }
    if (differs === undefined) return agreed === last ? undefined : ("unknown" as const)
    const [mine, theirs] = differs.parts.map(sideOf)
    if (differs.seq !== agreed + 1 || mine === undefined || theirs === undefined) return "unknown" as const
    if (mine === "erased" || theirs === "erased") return "unknown" as const
    return { seq: differs.seq, mine, theirs }
  })

  return { forkOf, here, pull }
}
