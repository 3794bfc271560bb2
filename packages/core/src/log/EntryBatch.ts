/**
 * A contiguous range of one log: the unit that is appended, pushed and pulled.
 *
 * A batch carries the chain checksum before its first entry and after its last, so that a receiver can tell a gap from
 * a drift and damaged bytes from both.
 */
import { Result } from "effect"
import * as Chain from "./Chain.ts"
import * as Entry from "./Entry.ts"
import * as HybridLogicalClock from "./HybridLogicalClock.ts"
import type * as LogId from "../identity/LogId.ts"
import * as RunId from "../identity/RunId.ts"
import type { Watermark } from "./Watermark.ts"

/** A contiguous range of one log: entries `from … from + count - 1`, at least one, their bytes one after the other. */
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
  now: number,
  tie: RunId.RunId = RunId.none
): Encoded & { readonly clock: HybridLogicalClock.HybridLogicalClock } => {
  const encoded = encodeStamped(head, writes, () => {
    clock = Result.getOrThrow(HybridLogicalClock.tick(clock, now))
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
  const view = Chain.viewOf(batch.bytes)
  const chain = Chain.state(batch.prevChain)
  let at = 0
  for (let i = 0; i < batch.count; i++) {
    const fault = Entry.faultAt(batch.bytes, at)
    if (fault !== undefined) return Result.fail(fault)
    const end = Entry.endUnsafe(batch.bytes, at)
    Chain.extend(chain, view, at, end)
    at = end
  }
  if (at !== batch.bytes.length) {
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
  let at = 0
  for (let i = 0; i < batch.count; i++) {
    const bad = Entry.badName(batch.bytes, at)
    if (bad !== undefined) return Result.fail(bad)
    at = Entry.endUnsafe(batch.bytes, at)
  }
  return valid
}

/** The chain after the entry at `seq`, which is the one before the batch, or one in it. */
export const chainAt = (batch: EntryBatch, seq: number): Chain.Chain => {
  if (seq === last(batch)) return batch.chain
  return walk(batch, seq - batch.from + 1).chain
}

/** The rest of a batch after `seq`, which lies before its last entry. The bytes are shared. */
export const after = (batch: EntryBatch, seq: number): EntryBatch => {
  if (seq < batch.from) return batch
  const skipped = seq - batch.from + 1
  const { at, chain } = walk(batch, skipped)
  return {
    ...batch,
    from: seq + 1,
    count: batch.count - skipped,
    prevChain: chain,
    bytes: batch.bytes.subarray(at)
  }
}

/** Where each entry of a batch ends, and the chain after it: two words each. */
export interface Places {
  readonly ends: Uint32Array
  readonly chains: Uint32Array
}

/** The places of a batch, for whoever looks at one entry in it after the other. */
export const placesOf = (batch: EntryBatch): Places => {
  const view = Chain.viewOf(batch.bytes)
  const chain = Chain.state(batch.prevChain)
  const ends = new Uint32Array(batch.count)
  const chains = new Uint32Array(2 * batch.count)
  let at = 0
  for (let i = 0; i < batch.count; i++) {
    const end = Entry.endUnsafe(batch.bytes, at)
    Chain.extend(chain, view, at, end)
    ends[i] = end
    chains[2 * i] = chain.high
    chains[2 * i + 1] = chain.low
    at = end
  }
  return { ends, chains }
}

/** {@link after} without going through what is before it. */
export const afterPlace = (batch: EntryBatch, { chains, ends }: Places, seq: number): EntryBatch => {
  if (seq < batch.from) return batch
  const i = seq - batch.from
  return {
    ...batch,
    from: seq + 1,
    count: batch.count - i - 1,
    prevChain: Chain.format({ high: chains[2 * i]!, low: chains[2 * i + 1]! }),
    bytes: batch.bytes.subarray(ends[i])
  }
}

/** The longest beginning of a batch that fits in `maxBytes`, but at least its first entry. The bytes are shared. */
export const take = (batch: EntryBatch, maxBytes: number): EntryBatch => {
  if (batch.bytes.length <= maxBytes) return batch
  const view = Chain.viewOf(batch.bytes)
  const chain = Chain.state(batch.prevChain)
  let at = 0
  let count = 0
  while (count < batch.count) {
    const end = Entry.endUnsafe(batch.bytes, at)
    if (count > 0 && end > maxBytes) break
    Chain.extend(chain, view, at, end)
    at = end
    count++
  }
  return { ...batch, count, chain: Chain.format(chain), bytes: batch.bytes.subarray(0, at) }
}

/** The beginning of a batch up to an entry of it. The bytes are shared. */
export const upTo = (batch: EntryBatch, seq: number): EntryBatch => {
  if (seq >= last(batch)) return batch
  const count = seq - batch.from + 1
  const { at, chain } = walk(batch, count)
  return { ...batch, count, chain, bytes: batch.bytes.subarray(0, at) }
}

/** The batch in parts that each fit in `maxBytes`, unless one entry is larger. The bytes are shared. */
export const split = (batch: EntryBatch, maxBytes: number): ReadonlyArray<EntryBatch> => {
  if (batch.bytes.length <= maxBytes) return [batch]
  const parts: Array<EntryBatch> = []
  const view = Chain.viewOf(batch.bytes)
  const chain = Chain.state(batch.prevChain)
  let { from, prevChain } = batch
  let start = 0
  let at = 0
  for (let seq = batch.from; seq <= last(batch); seq++) {
    const end = Entry.endUnsafe(batch.bytes, at)
    if (seq > from && end - start > maxBytes) {
      const ended = Chain.format(chain)
      const bytes = batch.bytes.subarray(start, at)
      parts.push({ log: batch.log, from, count: seq - from, prevChain, chain: ended, bytes })
      from = seq
      prevChain = ended
      start = at
    }
    Chain.extend(chain, view, at, end)
    at = end
  }
  parts.push({ ...batch, from, count: last(batch) - from + 1, prevChain, bytes: batch.bytes.subarray(start) })
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

/** Calls `f` with the sequence and the offset of every entry, in order. */
export const forEach = (batch: EntryBatch, f: (seq: number, offset: number) => void): void => {
  let at = 0
  for (let i = 0; i < batch.count; i++) {
    f(batch.from + i, at)
    at = Entry.endUnsafe(batch.bytes, at)
  }
}

/** The highest clock of the entries. It need not be that of the last: a write may be appended long after its stamp. */
export const highestClock = (batch: EntryBatch): HybridLogicalClock.HybridLogicalClock => {
  const { bytes } = batch
  let highest = 0
  let offset = 0
  for (let i = 1; i < batch.count; i++) {
    offset = Entry.endUnsafe(bytes, offset)
    const isHigher = Entry.compareVersions(bytes, offset + Entry.versionAt, bytes, highest + Entry.versionAt) > 0
    if (isHigher) highest = offset
  }
  return Entry.clockAt(bytes, highest)
}

// ---------------------------------------------------------------------------------------------------------------------

const walk = (batch: EntryBatch, count: number): { readonly at: number; readonly chain: Chain.Chain } => {
  const view = Chain.viewOf(batch.bytes)
  const chain = Chain.state(batch.prevChain)
  let at = 0
  for (let i = 0; i < count; i++) {
    const end = Entry.endUnsafe(batch.bytes, at)
    Chain.extend(chain, view, at, end)
    at = end
  }
  return { at, chain: Chain.format(chain) }
}
