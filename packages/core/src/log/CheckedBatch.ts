/**
 * A batch that was checked, with what the check found on its way: where every entry is, and the chain after it. Parts of
 * it are found without looking at the rest again.
 */
import * as Chain from "./Chain.ts"
import * as Entry from "./Entry.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as Erased from "./Erased.ts"

/** A batch that was checked. */
export interface CheckedBatch {
  readonly batch: EntryBatch.EntryBatch
  /** Where each entry begins, or a range of erased ones, and where the last ends. */
  readonly offsets: Uint32Array
  /** The chain before the first and after each, in two halves. */
  readonly chains: Uint32Array
  /** The sequence with which each begins, and the one after the last; absent where nothing is erased. */
  readonly begins: Float64Array | undefined
}

/** Checks a batch that was read back, as `EntryBatch.validate` does; `undefined` when it is not what it says. */
export const make = (batch: EntryBatch.EntryBatch): CheckedBatch | undefined => {
  const { from } = batch
  const most = mostIn(batch)
  if (most < 1) return undefined
  const offsets = new Uint32Array(most + 1)
  const chains = new Uint32Array(2 * most + 2)
  let begins: Float64Array | undefined
  let found = 0
  const isWhole = goThrough(batch, (i, at, seq, chain) => {
    offsets[i] = at
    chains[2 * i] = chain.high
    chains[2 * i + 1] = chain.low
    // From the first range of erased ones on places and entries are counted apart.
    if (seq !== from + i) begins ??= Float64Array.from({ length: most + 1 }, (_, each) => from + each)
    if (begins !== undefined) begins[i] = seq
    found = i
  })
  return isWhole ? { batch, offsets, chains, begins: begins?.subarray(0, found + 1) } : undefined
}

/**
 * The {@link part} of a batch that is read for nothing else: where the rest of it is is not noted. `undefined` when it is not
 * what it says, or begins after `from`.
 */
export const cut = (
  batch: EntryBatch.EntryBatch,
  from: number,
  maxBytes: number
): EntryBatch.EntryBatch | undefined => {
  let start = 0
  let begin = Infinity
  let end = 0
  let after = 0
  const before: Chain.State = { high: 0, low: 0 }
  const behind: Chain.State = { high: 0, low: 0 }
  const isWhole = goThrough(batch, (_, at, seq, { high, low }) => {
    if (seq <= from) {
      start = at
      begin = seq
      before.high = high
      before.low = low
    } else if (end <= start || at - start <= maxBytes) {
      end = at
      after = seq
      behind.high = high
      behind.low = low
    }
  })
  if (!isWhole || begin > from) return undefined
  if (start === 0 && end === batch.bytes.length) return batch
  return {
    log: batch.log,
    from: begin,
    count: after - begin,
    prevChain: Chain.format(before),
    chain: Chain.format(behind),
    bytes: batch.bytes.subarray(start, end)
  }
}

/** Whether an entry is in it. */
export const has = ({ batch: { count, from } }: CheckedBatch, seq: number): boolean => seq >= from && seq < from + count

/**
 * The chain after an entry, which is the one before the batch, or one in it; `undefined` where that entry and the next are
 * erased.
 */
export const chainAt = (checked: CheckedBatch, seq: number): Chain.Chain | undefined => {
  const { batch, begins, chains } = checked
  const index = seq + 1 === batch.from + batch.count ? count(checked) : find(checked, seq + 1)
  if (begins !== undefined && begins[index] !== seq + 1) return undefined
  return Chain.format({ high: chains[2 * index]!, low: chains[2 * index + 1]! })
}

/**
 * The entries from one of it on, as many as fit in `maxBytes` but at least that one, or the range of erased ones that it is
 * in: that begins where it does, see `EntryBatch.after`. The bytes are shared.
 */
export const part = (checked: CheckedBatch, from: number, maxBytes: number): EntryBatch.EntryBatch => {
  const { batch, chains, offsets } = checked
  const first = find(checked, from)
  const all = count(checked)
  const start = offsets[first]!
  let end = first + 1
  while (end < all && offsets[end + 1]! - start <= maxBytes) end++
  if (first === 0 && end === all) return batch
  const begin = beginOf(checked, first)
  const chainBefore = (index: number) => Chain.format({ high: chains[2 * index]!, low: chains[2 * index + 1]! })
  return {
    log: batch.log,
    from: begin,
    count: beginOf(checked, end) - begin,
    prevChain: chainBefore(first),
    chain: chainBefore(end),
    bytes: batch.bytes.subarray(start, offsets[end])
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** As many at most: nothing takes less room, so a count that is damaged makes no large array. */
const mostIn = ({ bytes, count }: EntryBatch.EntryBatch): number =>
  Math.min(count, Math.floor(bytes.length / Erased.size))

/**
 * Checks a batch, and notes where each of its entries is and each range of erased ones: its number, where it begins, its
 * sequence, and the chain before it, which changes; and at last the same of what would come after them.
 */
const goThrough = (
  batch: EntryBatch.EntryBatch,
  note: (i: number, at: number, seq: number, chain: Chain.State) => void
): boolean => {
  const { bytes, count, from } = batch
  const most = mostIn(batch)
  if (most < 1) return false
  const view = Chain.viewOf(bytes)
  const chain = Chain.state(batch.prevChain)
  let at = 0
  let places = 0
  for (let i = 0; ; i++) {
    note(i, at, from + places, chain)
    if (places >= count) break
    if (i === most || EntryBatch.faultAt(bytes, at, chain) !== undefined) return false
    places += EntryBatch.goOver(chain, bytes, view, at)
    at = Entry.endUnsafe(bytes, at)
  }
  const { high, low } = Chain.state(batch.chain)
  return places === count && at === bytes.length && chain.high === high && chain.low === low
}

/** How many there are: entries, and ranges of erased ones. */
const count = ({ batch, begins }: CheckedBatch): number => (begins === undefined ? batch.count : begins.length - 1)

const beginOf = ({ batch, begins }: CheckedBatch, index: number): number =>
  begins === undefined ? batch.from + index : begins[index]!

/** Which of them holds an entry of the batch. */
const find = ({ batch, begins }: CheckedBatch, seq: number): number => {
  if (begins === undefined) return seq - batch.from
  let low = 0
  let high = begins.length - 2
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if (begins[middle]! <= seq) low = middle
    else high = middle - 1
  }
  return low
}
