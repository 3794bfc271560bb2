/**
 * A contiguous range of one log: the unit that is appended, pushed and pulled.
 *
 * A batch carries the chain checksum before its first entry and after its last, so that a receiver can tell a gap from
 * a drift and damaged bytes from both.
 */
import { Result } from "effect"
import * as Chain from "./Chain.ts"
import * as Entry from "./Entry.ts"
import * as Erased from "./Erased.ts"
import * as HybridLogicalClock from "./HybridLogicalClock.ts"
import type * as LogId from "../identity/LogId.ts"
import * as RunId from "../identity/RunId.ts"
import type { Watermark } from "./Watermark.ts"

/**
 * A contiguous range of one log: entries `from … from + count - 1`, at least one, their bytes one after the other. Of those
 * that were erased a range is there instead, see `Erased`; it counts as all the entries that it stands for.
 */
export interface EntryBatch {
  readonly log: LogId.LogId
  readonly from: number
  readonly count: number
  /** The chain before the first entry. */
  readonly prevChain: Chain.Chain
  /** The chain after the last entry. */
  readonly chain: Chain.Chain
  readonly bytes: Uint8Array
}

/** The sequence of the last entry. */
export const last = (batch: EntryBatch): number => batch.from + batch.count - 1

/** The watermark of a replica that holds the log up to the end of the batch. */
export const watermark = (batch: EntryBatch): Watermark => ({ log: batch.log, seq: last(batch), chain: batch.chain })

/** A batch that was encoded here. */
export interface Encoded {
  readonly batch: EntryBatch
  /** The check of every entry, for the ids of its writes; see `Chain.check`. */
  readonly checks: Uint32Array
  /** The stamp of every entry. */
  readonly stamps: ReadonlyArray<Entry.Stamp>
}

/**
 * Encodes writes as the entries that follow `head`, each with a clock after the one before; returns the clock of the
 * last too. For tests of stores and transports: throws at the end of the clock's range.
 */
export const encode = (
  head: Watermark,
  writes: ReadonlyArray<Entry.Writes>,
  clock: HybridLogicalClock.HybridLogicalClock,
  wallMillis: number,
  tie: RunId.RunId = RunId.none
): Encoded & { readonly clock: HybridLogicalClock.HybridLogicalClock } => {
  const encoded = encodeStamped(head, writes, () => {
    clock = Result.getOrThrow(HybridLogicalClock.tick(clock, wallMillis))
    return { clock, tie, unprobed: false }
  })
  return { ...encoded, clock }
}

/** Encodes writes as the entries that follow `head`, with stamps that are asked for one after the other. */
export const encodeStamped = (
  head: Watermark,
  writes: ReadonlyArray<Entry.Writes>,
  stampOf: (index: number) => Entry.Stamp
): Encoded => {
  const checks = new Uint32Array(writes.length)
  const stamps: Array<Entry.Stamp> = []
  let room = 0
  for (let i = 0; i < writes.length; i++) room += Entry.maxSize(writes[i]!)
  const bytes = new Uint8Array(room)
  const view = Chain.viewOf(bytes)
  const chain = Chain.state(head.chain)
  let at = 0
  for (let i = 0; i < writes.length; i++) {
    const stamp = stampOf(i)
    stamps.push(stamp)
    const end = Entry.encodeInto(bytes, at, writes[i]!, stamp)
    Chain.extend(chain, view, at, end)
    checks[i] = chain.high
    at = end
  }
  return {
    batch: {
      log: head.log,
      from: head.seq + 1,
      count: writes.length,
      prevChain: head.chain,
      chain: Chain.format(chain),
      // The room was an upper bound; names that are not ASCII, or long, leave much of it unused.
      bytes: at < room * 0.75 ? bytes.slice(0, at) : bytes.subarray(0, at)
    },
    checks,
    stamps
  }
}

/**
 * Checks a batch that came from elsewhere: every entry well-formed, as many as `count`, and the chain what the batch
 * says. Whoever reads a batch back does this once, before anything else; see also {@link validateForeign}.
 */
export const validate = (batch: EntryBatch): Result.Result<EntryBatch, Entry.MalformedEntry> => {
  const { bytes } = batch
  const view = Chain.viewOf(bytes)
  const chain = Chain.state(batch.prevChain)
  let at = 0
  let places = 0
  while (places < batch.count) {
    const fault = faultAt(bytes, at, chain)
    if (fault !== undefined) return Result.fail(fault)
    places += goOver(chain, bytes, view, at)
    at = Entry.endUnsafe(bytes, at)
  }
  if (places !== batch.count) {
    return Result.fail(new Entry.MalformedEntry({ offset: at, detail: "it stands for more entries than it says" }))
  }
  if (at !== bytes.length) {
    return Result.fail(new Entry.MalformedEntry({ offset: at, detail: "bytes after the last entry" }))
  }
  if (Chain.format(chain) !== batch.chain) {
    return Result.fail(new Entry.MalformedEntry({ offset: 0, detail: "the chain checksum does not match the bytes" }))
  }
  return Result.succeed(batch)
}

/** {@link validate} for a batch that came from a peer: its entries name records as a client's have to. */
export const validateForeign = (batch: EntryBatch): Result.Result<EntryBatch, Entry.MalformedEntry> => {
  const valid = validate(batch)
  if (Result.isFailure(valid)) return valid
  const { bytes } = batch
  for (let at = 0; at < bytes.length; at = Entry.endUnsafe(bytes, at)) {
    const bad = Erased.is(bytes, at) ? undefined : Entry.badName(bytes, at)
    if (bad !== undefined) return Result.fail(bad)
  }
  return valid
}

/** Where the first range of erased entries begins; `undefined` when all entries are there. */
export const erasedAt = ({ bytes }: EntryBatch): number | undefined => {
  for (let at = 0; at < bytes.length; at = Entry.endUnsafe(bytes, at)) {
    if (Erased.is(bytes, at)) return at
  }
  return undefined
}

/** Whether deletes are among what is erased of a batch. */
export const hasErasedDeletes = ({ bytes }: EntryBatch): boolean => {
  for (let at = 0; at < bytes.length; at = Entry.endUnsafe(bytes, at)) {
    if (Erased.is(bytes, at) && Erased.hasDeletes(bytes, at)) return true
  }
  return false
}

/**
 * What becomes of an entry of a log that is compacted: it stays; it goes, because there is something newer; or it is a delete,
 * and goes because there is nothing older any more.
 */
export type Fate = "kept" | "superseded" | "deleted"

/**
 * The same places, without the entries that go by their `fateOf`, which is asked in order with their sequence and
 * offset. Neighbouring ranges become one, of no more than {@link Erased.maxCount} entries. The same batch when it says so
 * of none and there is nothing to join.
 */
export const erase = (batch: EntryBatch, fateOf: (seq: number, offset: number) => Fate): EntryBatch => {
  const { bytes } = batch
  const view = Chain.viewOf(bytes)
  const chain = Chain.state(batch.prevChain)
  const target = new Uint8Array(Math.max(bytes.length, Erased.size))
  const before = { high: 0, low: 0 }
  let end = 0
  let erased = 0
  let hasDeletes = false
  let isChanged = false
  const close = (): void => {
    if (erased > 0) end = Erased.encodeInto(target, end, { count: erased, before, after: chain, hasDeletes })
    erased = 0
    hasDeletes = false
  }
  for (let at = 0, seq = batch.from; at < bytes.length;) {
    const after = Entry.endUnsafe(bytes, at)
    const isRange = Erased.is(bytes, at)
    const fate = isRange ? "superseded" : fateOf(seq, at)
    const goes = fate !== "kept"
    if (goes) {
      if (erased + (isRange ? Erased.countAt(bytes, at) : 1) > Erased.maxCount) close()
      isChanged ||= !isRange || erased > 0
      if (erased === 0) Object.assign(before, chain)
      hasDeletes ||= fate === "deleted" || (isRange && Erased.hasDeletes(bytes, at))
    } else {
      close()
      target.set(bytes.subarray(at, after), end)
      end += after - at
    }
    const places = goOver(chain, bytes, view, at)
    if (goes) erased += places
    seq += places
    at = after
  }
  close()
  return isChanged ? { ...batch, bytes: target.slice(0, end) } : batch
}

/**
 * The chain after the entry at `seq`, which is the one before the batch, or one in it. Nobody knows it any more where that
 * entry and the next are erased: `undefined`.
 */
export const chainAt = (batch: EntryBatch, seq: number): Chain.Chain | undefined => {
  if (seq === last(batch)) return batch.chain
  const { chain, end } = walk(batch, seq)
  return end === seq ? Chain.format(chain) : undefined
}

/**
 * The rest of a batch after `seq`, which lies before its last entry. Where that is among erased entries it begins with the
 * first of these, so that `from` is less than asked for: they are one. The bytes are shared.
 */
export const after = (batch: EntryBatch, seq: number): EntryBatch => {
  if (seq < batch.from) return batch
  const { at, chain, end } = walk(batch, seq)
  if (end < batch.from) return batch
  return {
    ...batch,
    from: end + 1,
    count: batch.count - (end - batch.from + 1),
    prevChain: Chain.format(chain),
    bytes: batch.bytes.subarray(at)
  }
}

/** The longest beginning of a batch that fits in `maxBytes`, but at least its first entry. The bytes are shared. */
export const take = (batch: EntryBatch, maxBytes: number): EntryBatch => {
  const { bytes } = batch
  if (bytes.length <= maxBytes) return batch
  const view = Chain.viewOf(bytes)
  const chain = Chain.state(batch.prevChain)
  let at = 0
  let count = 0
  while (at < bytes.length) {
    const end = Entry.endUnsafe(bytes, at)
    if (count > 0 && end > maxBytes) break
    count += goOver(chain, bytes, view, at)
    at = end
  }
  return { ...batch, count, chain: Chain.format(chain), bytes: bytes.subarray(0, at) }
}

/** The beginning of a batch up to an entry of it, and to the end of the erased ones that it is among. The bytes are shared. */
export const upTo = (batch: EntryBatch, seq: number): EntryBatch => {
  if (seq >= last(batch)) return batch
  const { bytes } = batch
  const { at, chain, end } = walk(batch, seq)
  if (end === seq) {
    return { ...batch, count: end - batch.from + 1, chain: Chain.format(chain), bytes: bytes.subarray(0, at) }
  }
  const count = end - batch.from + 1 + goOver(chain, bytes, Chain.viewOf(bytes), at)
  return { ...batch, count, chain: Chain.format(chain), bytes: bytes.subarray(0, Entry.endUnsafe(bytes, at)) }
}

/** The batch in parts that each fit in `maxBytes`, unless one entry is larger. The bytes are shared. */
export const split = (batch: EntryBatch, maxBytes: number): ReadonlyArray<EntryBatch> => {
  const { bytes, log } = batch
  if (bytes.length <= maxBytes) return [batch]
  const parts: Array<EntryBatch> = []
  const view = Chain.viewOf(bytes)
  const chain = Chain.state(batch.prevChain)
  let { from, prevChain } = batch
  let start = 0
  for (let at = 0, seq = batch.from; at < bytes.length;) {
    const end = Entry.endUnsafe(bytes, at)
    if (seq > from && end - start > maxBytes) {
      const ended = Chain.format(chain)
      parts.push({ log, from, count: seq - from, prevChain, chain: ended, bytes: bytes.subarray(start, at) })
      from = seq
      prevChain = ended
      start = at
    }
    seq += goOver(chain, bytes, view, at)
    at = end
  }
  parts.push({ ...batch, from, count: last(batch) - from + 1, prevChain, bytes: bytes.subarray(start) })
  return parts
}

/** Joins batches that follow one another. */
export const concat = (batches: readonly [EntryBatch, ...ReadonlyArray<EntryBatch>]): EntryBatch => {
  const first = batches[0]
  if (batches.length === 1) return first
  let length = 0
  let count = 0
  for (const batch of batches) {
    length += batch.bytes.length
    count += batch.count
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const batch of batches) {
    bytes.set(batch.bytes, at)
    at += batch.bytes.length
  }
  return { ...first, count, chain: batches[batches.length - 1]!.chain, bytes }
}

/** One thing in a batch: an entry, or a range of erased ones, which are the places `from` to `to`. */
export interface Element {
  readonly from: number
  readonly to: number
  readonly isErased: boolean
  readonly offset: number
  /** The chain after it, until the next is looked at. */
  readonly chain: Chain.State
}

/** Calls `f` with all that is in a batch, in order: for whoever needs the chain, or what is erased. */
export const forEachElement = ({ bytes, from, prevChain }: EntryBatch, f: (element: Element) => void): void => {
  const view = Chain.viewOf(bytes)
  const chain = Chain.state(prevChain)
  for (let at = 0, seq = from; at < bytes.length; at = Entry.endUnsafe(bytes, at)) {
    const places = goOver(chain, bytes, view, at)
    f({ from: seq, to: seq + places - 1, isErased: Erased.is(bytes, at), offset: at, chain })
    seq += places
  }
}

/** Calls `f` with the sequence and the offset of every entry that is there, in order. */
export const forEach = ({ bytes, count, from }: EntryBatch, f: (seq: number, offset: number) => void): void => {
  let at = 0
  for (let seq = from; seq < from + count; at = Entry.endUnsafe(bytes, at)) {
    if (Erased.is(bytes, at)) {
      seq += Erased.countAt(bytes, at)
    } else {
      f(seq, at)
      seq++
    }
  }
}

/**
 * The highest clock of the entries; zero when all are erased. It need not be that of the last: a write may be appended long
 * after its stamp.
 */
export const highestClock = (batch: EntryBatch): HybridLogicalClock.HybridLogicalClock => {
  const { bytes } = batch
  let highest: number | undefined
  forEach(batch, (_, offset) => {
    const isHigher =
      highest === undefined ||
      Entry.compareVersions(bytes, offset + Entry.versionAt, bytes, highest + Entry.versionAt) > 0
    if (isHigher) highest = offset
  })
  return highest === undefined ? HybridLogicalClock.zero : Entry.clockAt(bytes, highest)
}

/**
 * What is wrong with the bytes at `at`, where an entry or a range of erased ones has to be that follows this chain;
 * `undefined` when nothing is.
 */
export const faultAt = (bytes: Uint8Array, at: number, chain: Chain.State): Entry.MalformedEntry | undefined => {
  if (!Erased.is(bytes, at)) return Entry.faultAt(bytes, at)
  const detail =
    at + Erased.size > bytes.length
      ? "a range of erased entries is cut off"
      : (Erased.faultAt(bytes, at) ??
        (Erased.follows(bytes, at, chain) ? undefined : "erased entries do not follow what is before them"))
  return detail === undefined ? undefined : new Entry.MalformedEntry({ offset: at, detail })
}

/** Goes over what is at `at`, an entry or a range of erased ones. Returns how many places of the log it takes. */
export const goOver = (chain: Chain.State, bytes: Uint8Array, view: DataView, at: number): number => {
  if (Erased.is(bytes, at)) {
    Erased.skip(chain, bytes, at)
    return Erased.countAt(bytes, at)
  }
  Chain.extend(chain, view, at, Entry.endUnsafe(bytes, at))
  return 1
}

// ---------------------------------------------------------------------------------------------------------------------

/** Goes over all that ends at `seq` or before, which is less than the batch: `end` is the last entry, and `at` comes after. */
const walk = (
  batch: EntryBatch,
  seq: number
): { readonly at: number; readonly end: number; readonly chain: Chain.State } => {
  const { bytes } = batch
  const view = Chain.viewOf(bytes)
  const chain = Chain.state(batch.prevChain)
  let at = 0
  let end = batch.from - 1
  while (end < seq) {
    if (Erased.is(bytes, at) && end + Erased.countAt(bytes, at) > seq) break
    end += goOver(chain, bytes, view, at)
    at = Entry.endUnsafe(bytes, at)
  }
  return { at, end, chain }
}
