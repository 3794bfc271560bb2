/**
 * A batch that was checked, with what the check found on its way: where every entry is, and the chain after it. Parts of
 * it are found without looking at the rest again.
 */
import * as Chain from "./Chain.ts"
import * as Entry from "./Entry.ts"
import type { EntryBatch } from "./EntryBatch.ts"

/** A batch that was checked. */
export interface CheckedBatch {
  readonly batch: EntryBatch
  /** Where each entry begins, and where the last ends. */
  readonly offsets: Uint32Array
  /** The chain before the first entry and after each, in two halves. */
  readonly chains: Uint32Array
}

/** Checks a batch that was read back, as `EntryBatch.validate` does; `undefined` when it is not what it says. */
export const make = (batch: EntryBatch): CheckedBatch | undefined => {
  const { bytes, count } = batch
  // An entry takes more than this, so a count that is damaged makes no large array.
  if (count < 1 || count > bytes.length) return undefined
  const offsets = new Uint32Array(count + 1)
  const chains = new Uint32Array(2 * count + 2)
  const view = Chain.viewOf(bytes)
  const chain = Chain.state(batch.prevChain)
  let at = 0
  for (let i = 0; ; i++) {
    offsets[i] = at
    chains[2 * i] = chain.high
    chains[2 * i + 1] = chain.low
    if (i === count) break
    if (Entry.faultAt(bytes, at) !== undefined) return undefined
    const end = Entry.endUnsafe(bytes, at)
    Chain.extend(chain, view, at, end)
    at = end
  }
  const { high, low } = Chain.state(batch.chain)
  return at === bytes.length && chain.high === high && chain.low === low ? { batch, offsets, chains } : undefined
}

/** Whether an entry is in it. */
export const has = ({ batch: { count, from } }: CheckedBatch, seq: number): boolean => seq >= from && seq < from + count

/** The chain after an entry, which is the one before the batch, or one in it. */
export const chainAt = ({ batch: { from }, chains }: CheckedBatch, seq: number): Chain.Chain => {
  const at = 2 * (seq - from + 1)
  return Chain.format({ high: chains[at]!, low: chains[at + 1]! })
}

/** The entries from one of it on, as many as fit in `maxBytes` but at least that one. The bytes are shared. */
export const part = (checked: CheckedBatch, from: number, maxBytes: number): EntryBatch => {
  const { batch, offsets } = checked
  const first = from - batch.from
  const start = offsets[first]!
  let end = first + 1
  while (end < batch.count && offsets[end + 1]! - start <= maxBytes) end++
  if (first === 0 && end === batch.count) return batch
  return {
    log: batch.log,
    from,
    count: end - first,
    prevChain: chainAt(checked, from - 1),
    chain: chainAt(checked, batch.from + end - 1),
    bytes: batch.bytes.subarray(start, offsets[end])
  }
}
