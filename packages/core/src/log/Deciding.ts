/**
 * What a store does with a batch, so that every store decides alike.
 *
 * Both decisions rest on the chain: where it agrees at two places, the same entries are in between, whatever is stored of
 * them. Of a place where nobody knows it any more, among erased entries, nothing can be said.
 */
import { Result, Schema } from "effect"
import type * as Chain from "./Chain.ts"
import { type DamagedRange, joined, overlaps } from "./DamagedRange.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as LogId from "../identity/LogId.ts"
import * as Watermark from "./Watermark.ts"

/**
 * The batch starts after the end of what is held, or it cannot be compared with what is held because one of the two is
 * erased there. `head` says where to go on from. Nothing was written.
 */
export class AppendGap extends Schema.TaggedError<AppendGap>()("AppendGap", { head: Watermark.Watermark }) {
  override get message(): string {
    return `the log ${this.head.log} is held up to ${this.head.seq}, and the batch does not go on from there`
  }
}

/** An entry differs from the one held at the same place. Nothing was written. */
export class AppendDrift extends Schema.TaggedError<AppendDrift>()("AppendDrift", {
  log: LogId.LogId,
  /** The place up to which the two copies were compared and found different. */
  seq: LogId.Sequence
}) {
  override get message(): string {
    return `the log ${this.log} differs from the copy held here, at or before entry ${this.seq}`
  }
}

/** What `append` has to do with a batch. */
export type AppendDecision =
  | { readonly _tag: "Append"; readonly batch: EntryBatch.EntryBatch }
  | { readonly _tag: "Held"; readonly watermark: Watermark.Watermark }

/**
 * Decides what an append does: append the part that is not held (`Append`), or nothing because all of it is (`Held`), or
 * refuse a gap or a drift.
 *
 * `head` is the watermark of the log here; `chainAt` is only asked about sequences up to `head.seq`, and answers
 * `undefined` among erased entries. A batch that shares no place with what is held at which both know the chain is refused
 * as a gap: it says nothing new, and who sent it goes on from the head. So is one whose erased entries reach over the head:
 * that is for {@link decideReplace}.
 */
export const decideAppend = (
  head: Watermark.Watermark,
  batch: EntryBatch.EntryBatch,
  chainAt: (seq: number) => Chain.Chain | undefined
): Result.Result<AppendDecision, AppendGap | AppendDrift> => {
  const before = batch.from - 1
  if (before > head.seq) return Result.fail(new AppendGap({ head }))
  const chainBefore = before === head.seq ? head.chain : chainAt(before)
  if (chainBefore !== undefined && chainBefore !== batch.prevChain) {
    return Result.fail(new AppendDrift({ log: batch.log, seq: before }))
  }
  if (before === head.seq) return Result.succeed({ _tag: "Append", batch })
  const last = EntryBatch.last(batch)
  const common = Math.min(last, head.seq)
  const held = common === head.seq ? head.chain : chainAt(common)
  const brought = EntryBatch.chainAt(batch, common)
  if (held === undefined || brought === undefined) return Result.fail(new AppendGap({ head }))
  if (brought !== held) return Result.fail(new AppendDrift({ log: batch.log, seq: common }))
  return Result.succeed(
    last <= head.seq
      ? { _tag: "Held", watermark: EntryBatch.watermark(batch) }
      : { _tag: "Append", batch: EntryBatch.after(batch, head.seq) }
  )
}

/** What a store holds of the log of a batch. */
export interface HeldPart {
  /** Its end; `Watermark.none` where nothing is held. */
  readonly head: Watermark.Watermark
  /** The damage of the store that was found. */
  readonly damaged: ReadonlyArray<DamagedRange>
  /** The chain after an entry, if anybody knows it; only asked about sequences up to `head.seq`. */
  readonly chainAt: (seq: number) => Chain.Chain | undefined
}

/** What `replace` has to do with a batch: nothing, or store it beside what is damaged, or in the place of what is sound. */
export type ReplaceDecision = "Held" | "Mend" | "Replace"

/**
 * Decides what a replacement does. `Held`: all of the batch is held as it is, because nothing of it is erased, nothing of
 * what is held at its places is damaged, and nothing is beyond the end. `Mend`: some of what is held at its places is
 * damaged, so that nothing that is stored there can be relied on. `Replace`: what is stored there is sound, or not there yet.
 *
 * The batch has to follow what is held before it, and what is held after it has to follow the batch. Where it ends inside
 * damage that it begins in, the first is all that can be said, and whoever fetches it has seen that its source agrees
 * beyond. Where it reaches beyond the end, it has to agree there; among erased entries nobody can tell, and whoever brings
 * it has seen that its source held the log up to that end before it erased. One that begins or ends among entries that are
 * erased here cannot be compared, which is a gap and no drift: see `ErasedElsewhere`.
 */
export const decideReplace = (
  { chainAt, damaged, head }: HeldPart,
  batch: EntryBatch.EntryBatch
): Result.Result<ReplaceDecision, AppendGap | AppendDrift> => {
  const { from, log } = batch
  const to = EntryBatch.last(batch)
  if (from - 1 > head.seq) return Result.fail(new AppendGap({ head }))
  const isDamaged = damaged.some((range) => overlaps(range, { log, from, to }))
  if (!isDamaged && to <= head.seq && EntryBatch.erasedAt(batch) === undefined) return Result.succeed("Held")
  const drift = (seq: number) => Result.fail(new AppendDrift({ log, seq }))
  const isDamagedAt = (seq: number) => damaged.some((range) => overlaps(range, { log, from: seq, to: seq + 1 }))
  /** Among erased entries nobody can tell, which is no drift. */
  const unknown = () => Result.fail(new AppendGap({ head }))
  const chainBefore = chainAt(from - 1)
  if (chainBefore === undefined && !isDamagedAt(from - 1)) return unknown()
  if (chainBefore !== batch.prevChain) return drift(from - 1)
  const decided = Result.succeed<ReplaceDecision>(isDamaged ? "Mend" : "Replace")
  const isInside = joined(damaged).some((range) => range.log === log && range.from <= from && to < range.to)
  if (isInside) return decided
  const common = Math.min(to, head.seq)
  const brought = EntryBatch.chainAt(batch, common)
  const isUnknown = brought === undefined && common < to
  if (isUnknown) return decided
  const chainAfter = chainAt(common)
  if ((chainAfter === undefined && !isDamagedAt(common)) || brought === undefined) return unknown()
  return chainAfter === brought ? decided : drift(common)
}

/**
 * A batch that goes in the place of rows, with what has to be stored again around it: what it does not cover of the rows at
 * its edges, and a row beside it that is less than half as long as rows may be, so that what others leave does not stay small.
 * Neighbouring ranges of erased entries become one. All rows that end within the result are to be replaced by it.
 *
 * `before` is the row that holds the entry before the batch, `after` the one that holds the entry after it, where these are
 * sound; both may be the same. `rowBytes` is how long a row may be.
 */
export const withEdges = (
  batch: EntryBatch.EntryBatch,
  before: EntryBatch.EntryBatch | undefined,
  after: EntryBatch.EntryBatch | undefined,
  rowBytes: number
): EntryBatch.EntryBatch => {
  const { from } = batch
  const to = EntryBatch.last(batch)
  const isSmall = (row: EntryBatch.EntryBatch) => row.bytes.length < rowBytes / 2
  const parts = [batch]
  if (before !== undefined && (EntryBatch.last(before) >= from || isSmall(before))) {
    parts.unshift(EntryBatch.upTo(before, from - 1))
  }
  if (after !== undefined && (after.from <= to || isSmall(after))) parts.push(EntryBatch.after(after, to))
  return EntryBatch.erase(EntryBatch.concat(parts as [EntryBatch.EntryBatch]), () => "kept")
}
