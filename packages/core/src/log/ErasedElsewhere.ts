/**
 * Taking over what is erased in another copy of a log: what is held here is erased at the same places, and nothing that is
 * erased here comes back. So it does not matter that the two copies are erased in different ranges.
 */
import { Effect, Option, Result } from "effect"
import * as Chain from "./Chain.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as Erased from "./Erased.ts"
import * as ReplicaStore from "./ReplicaStore.ts"
import type * as Watermark from "./Watermark.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

/** A range of erased entries in a batch. */
interface Range {
  readonly from: number
  readonly to: number
  readonly hasDeletes: boolean
  /** The chain after it. */
  readonly after: Chain.State
}

/** The ranges of erased entries of a batch, in order. */
const rangesOf = (batch: EntryBatch.EntryBatch): ReadonlyArray<Range> => {
  const found: Array<Range> = []
  EntryBatch.forEachElement(batch, ({ chain, from, isErased, offset, to }) => {
    const hasDeletes = isErased && Erased.hasDeletes(batch.bytes, offset)
    if (isErased) found.push({ from, to, hasDeletes, after: { ...chain } })
  })
  return found
}

/**
 * Erases in the part of a log that is held here, up to `head`, what is erased in a batch of it (unless `ofHeld` is false),
 * and stores of an erased range that reaches beyond `head` all. `erasing` comes before anything goes that was here. Returns
 * where the log ends then. Fails with `AppendDrift` where the two copies differ.
 */
export const take = Effect.fnUntraced(function* (
  store: Store,
  head: Watermark.Watermark,
  batch: EntryBatch.EntryBatch,
  { erasing = Effect.void, ofHeld = true }: { readonly erasing?: Effect.Effect<void>; readonly ofHeld?: boolean } = {}
): Effect.fn.Return<Watermark.Watermark, ReplicaStore.AppendGap | ReplicaStore.AppendDrift | ReplicaStore.StoreError> {
  const { log } = batch
  const held = Math.min(EntryBatch.last(batch), head.seq)
  const ends = [
    { seq: batch.from - 1, chain: batch.prevChain },
    { seq: held, chain: EntryBatch.chainAt(batch, held) }
  ]
  for (const { chain, seq } of ends) {
    const here = Option.getOrUndefined(yield* store.chainAt(log, seq))
    if (chain !== undefined && here !== undefined && chain !== here) {
      return yield* new ReplicaStore.AppendDrift({ log, seq })
    }
  }
  const ranges = rangesOf(batch)
  const over = ranges.find(({ from, to }) => from <= head.seq && head.seq < to)
  const under = over && Option.getOrUndefined(yield* store.read(log, over.from - 1, 1))
  // Where the log ends here the other copy is erased: before that is the last place where the two can be compared.
  const before = under && EntryBatch.chainAt(batch, under.from - 1)
  if (under !== undefined && before !== undefined && before !== under.prevChain)
    return yield* new ReplicaStore.AppendDrift({ log, seq: under.from - 1 })
  for (let at = batch.from - 1; ofHeld && at < held;) {
    const read = yield* store.read(log, at, sliceBytes)
    if (Option.isNone(read)) break
    const own = EntryBatch.upTo(read.value, held)
    const erased = EntryBatch.erase(own, (seq) => fateBy(ranges, seq))
    if (erased !== own) {
      yield* erasing
      yield* store.replace(erased)
    }
    at = EntryBatch.last(own)
  }
  if (over === undefined) return head
  // From where a range that is known here begins, to where the one of the batch ends.
  const first = Option.getOrUndefined(yield* store.read(log, over.from - 1, 1))
  if (first === undefined) return head
  const bytes = new Uint8Array(Erased.size)
  Erased.encodeInto(bytes, 0, {
    count: over.to - first.from + 1,
    before: Chain.state(first.prevChain),
    after: over.after,
    hasDeletes: over.hasDeletes || EntryBatch.hasErasedDeletes(first)
  })
  const range: EntryBatch.EntryBatch = {
    log,
    from: first.from,
    count: over.to - first.from + 1,
    prevChain: first.prevChain,
    chain: Chain.format(over.after),
    bytes
  }
  yield* erasing
  yield* store.replace(range)
  return EntryBatch.watermark(range)
})

/**
 * Appends a batch that begins before `head`. A range of erased entries that reaches beyond `head` is stored whole, and what
 * is held of it goes, after `erasing`. Otherwise what is held stays as it is.
 */
export const append = (
  store: Store,
  head: Watermark.Watermark,
  batch: EntryBatch.EntryBatch,
  erasing: Effect.Effect<void>
) =>
  Effect.flatMap(take(store, head, batch, { erasing, ofHeld: false }), (end) =>
    end.seq >= EntryBatch.last(batch)
      ? Effect.succeed(EntryBatch.watermark(batch))
      : store.append(EntryBatch.after(batch, end.seq))
  )

/**
 * The batch as it fits what is held here: what is erased here stays erased, also where it begins among such entries. What is
 * damaged here nobody can tell.
 */
export const fitting = Effect.fnUntraced(function* (
  store: Store,
  batch: EntryBatch.EntryBatch
): Effect.fn.Return<EntryBatch.EntryBatch, ReplicaStore.StoreError> {
  const { from, log } = batch
  const gone = yield* erasedHere(store, batch)
  const rest = EntryBatch.erase(batch, (seq) => fateBy(gone, seq))
  const before = from === 1 ? undefined : yield* Effect.result(store.chainAt(log, from - 1))
  // Known, or damaged: what it is to follow is for the store to say.
  if (before === undefined || Result.isFailure(before) || Option.isSome(before.success)) return rest
  const own = Option.getOrUndefined(yield* store.read(log, from - 2, 1))
  if (own === undefined || EntryBatch.erasedAt(own) === undefined) return rest
  const prefix = new Uint8Array(Erased.size)
  Erased.encodeInto(prefix, 0, {
    count: from - own.from,
    before: Chain.state(own.prevChain),
    after: Chain.state(batch.prevChain),
    hasDeletes: EntryBatch.hasErasedDeletes(own)
  })
  const first: EntryBatch.EntryBatch = {
    log,
    from: own.from,
    count: from - own.from,
    prevChain: own.prevChain,
    chain: batch.prevChain,
    bytes: prefix
  }
  return EntryBatch.erase(EntryBatch.concat([first, rest]), () => "kept")
})

// ---------------------------------------------------------------------------------------------------------------------

/** How much of a log is erased in at once. */
const sliceBytes = 64 * 1024

/** What becomes of an entry at a place where these ranges are erased in another copy. */
const fateBy = (ranges: ReadonlyArray<Range>, seq: number): EntryBatch.Fate => {
  const range = ranges.find(({ from, to }) => from <= seq && seq <= to)
  return range === undefined ? "kept" : range.hasDeletes ? "deleted" : "superseded"
}

/** What is erased here where a batch goes, as far as it can be read. */
const erasedHere = Effect.fnUntraced(function* (store: Store, batch: EntryBatch.EntryBatch) {
  const { from, log } = batch
  const found: Array<Range> = []
  for (let at = from - 1; at < EntryBatch.last(batch);) {
    const own = yield* Effect.result(store.read(log, at, sliceBytes))
    if (Result.isSuccess(own)) {
      if (Option.isNone(own.success)) break
      found.push(...rangesOf(own.success.value))
      at = EntryBatch.last(own.success.value)
      continue
    }
    const next = at + 1
    const damaged = store.damaged().find((range) => range.log === log && range.from <= next && next <= range.to)
    if (damaged === undefined) return yield* own.failure
    at = damaged.to
  }
  return found
})
